//! Metrics in JSON lines: `{"metric": "val_acc", "value": 0.97, "step": 3}`, and flat objects whose keys are metrics of the study.
//!
//! More tolerant than JSON where Python is (`NaN`, `Infinity`), and with numbers in strings as other tools write them. The reader takes one
//! pass, does not recurse, and gives a line up at the first thing that cannot stand in an object.

use std::borrow::Cow;

use super::{MAX_READINGS_PER_LINE, Note, Reading, Vocabulary, number, shorten};
use crate::id::MetricName;

/// Reads the metrics of one line, with or without its newline.
///
/// * `{"metric": NAME, "value": NUMBER, ...}` gives that one value.
/// * Any other object gives a value for each key that is a metric of `vocabulary`.
///
/// The step is taken from the study's own word for it, `step` or `epoch`, whichever is there first in this order. A
/// step that is no whole number of at least 0 counts as missing. Of keys given twice the last one counts. Values and steps may
/// be strings that hold a number. Anything else gives nothing.
#[must_use]
pub fn json_line(line: &[u8], vocabulary: &Vocabulary) -> (Vec<Reading>, Vec<Note>) {
    let line = line.strip_suffix(b"\n").unwrap_or(line).trim_ascii_end();
    // A progress bar redraws its line with carriage returns; what a person would see is the last piece.
    let line = line.rsplit(|byte| *byte == b'\r').next().unwrap_or(line);
    let line = line
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(line)
        .trim_ascii_start();
    if line.first() != Some(&b'{') || line.last() != Some(&b'}') {
        return (Vec::new(), Vec::new());
    }
    match read_object(line) {
        Some(fields) => readings(&fields, vocabulary),
        None => (Vec::new(), Vec::new()),
    }
}

/// `text` with the bare words `NaN`, `Infinity` and `-Infinity`, which Python writes and JSON does not know, put in quotes.
#[must_use]
pub fn quote_bare_words(text: &str) -> Cow<'_, str> {
    if !text.contains("NaN") && !text.contains("Infinity") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let word = ["NaN", "Infinity", "-Infinity"]
            .into_iter()
            .find(|word| rest.starts_with(word));
        let length = if let Some(word) = word {
            out.extend(["\"", word, "\""]);
            word.len()
        } else {
            let length = if c == '"' {
                string_length(rest)
            } else {
                c.len_utf8()
            };
            out.push_str(&rest[..length]);
            length
        };
        rest = &rest[length..];
    }
    Cow::Owned(out)
}

/// Bytes of the string at the beginning of `text`, quotes included; all of it if the string never ends.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

/// A value of the object, as far as it matters here.
#[derive(Clone, Debug, PartialEq)]
enum Field<'a> {
    /// A string, unescaped.
    Text(Cow<'a, str>),
    /// A number or a bare word, as written.
    Bare(&'a str),
    /// An object or a list.
    Nested,
}

impl Field<'_> {
    fn text(&self) -> &str {
        match self {
            Field::Text(text) => text,
            Field::Bare(text) => text,
            Field::Nested => "an object or a list",
        }
    }

    fn value(&self) -> Option<f64> {
        match self {
            Field::Text(text) => number::value(text),
            Field::Bare(text) => number::value(text),
            Field::Nested => None,
        }
    }
}

fn last<'f, 'a>(fields: &'f [(Cow<'a, str>, Field<'a>)], key: &str) -> Option<&'f Field<'a>> {
    fields
        .iter()
        .rev()
        .find(|(name, _)| name == key)
        .map(|(_, field)| field)
}

fn readings(fields: &[(Cow<'_, str>, Field<'_>)], vocabulary: &Vocabulary) -> (Vec<Reading>, Vec<Note>) {
    let mut found = Vec::new();
    let mut notes = Vec::new();
    if let (Some(Field::Text(name)), Some(value)) = (last(fields, "metric"), last(fields, "value")) {
        match name.parse::<MetricName>() {
            Ok(metric) => push(metric, value, fields, vocabulary, &mut found, &mut notes),
            Err(error) => notes.push(error.into()),
        }
        return (found, notes);
    }
    for metric in &vocabulary.metrics {
        if let Some(value) = last(fields, metric.as_str()) {
            if found.len() == MAX_READINGS_PER_LINE {
                notes.push(Note::TooMany);
                break;
            }
            push(metric.clone(), value, fields, vocabulary, &mut found, &mut notes);
        }
    }
    (found, notes)
}

fn push(
    metric: MetricName,
    value: &Field<'_>,
    fields: &[(Cow<'_, str>, Field<'_>)],
    vocabulary: &Vocabulary,
    found: &mut Vec<Reading>,
    notes: &mut Vec<Note>,
) {
    let Some(value) = value.value() else {
        notes.push(Note::Value {
            metric: metric.to_string(),
            text: shorten(value.text()),
        });
        return;
    };
    let stated = vocabulary.step_keys().find_map(|key| last(fields, key));
    let step = stated.and_then(|field| match field {
        Field::Nested => None,
        field => number::step(field.text()),
    });
    if let (Some(field), None) = (stated, step) {
        notes.push(Note::Step {
            metric: metric.to_string(),
            text: shorten(field.text()),
        });
    }
    found.push(Reading { metric, step, value });
}

/// The keys and values of an object that is all of `line`, or None if it is not one.
fn read_object(line: &[u8]) -> Option<Vec<(Cow<'_, str>, Field<'_>)>> {
    let mut scanner = Scanner { bytes: line, at: 0 };
    let mut fields = Vec::new();
    scanner.expect(b'{')?;
    if scanner.peek()? == b'}' {
        scanner.at += 1;
        return scanner.at_end().then_some(fields);
    }
    loop {
        scanner.skip_space();
        let key = scanner.string()?;
        scanner.expect(b':')?;
        let field = scanner.field()?;
        fields.push((key, field));
        match scanner.peek()? {
            b',' => scanner.at += 1,
            b'}' => {
                scanner.at += 1;
                return scanner.at_end().then_some(fields);
            }
            _ => return None,
        }
    }
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    fn skip_space(&mut self) {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    fn peek(&mut self) -> Option<u8> {
        self.skip_space();
        self.bytes.get(self.at).copied()
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn at_end(&mut self) -> bool {
        self.skip_space();
        self.at == self.bytes.len()
    }

    fn field(&mut self) -> Option<Field<'a>> {
        match self.peek()? {
            b'"' => self.string().map(Field::Text),
            b'{' | b'[' => self.skip_nested().map(|()| Field::Nested),
            _ => self.bare().map(Field::Bare),
        }
    }

    /// A number, or `true`, `false`, `null`, `NaN`, `Infinity`, `-Infinity`: text up to what may follow a value.
    fn bare(&mut self) -> Option<&'a str> {
        let rest = &self.bytes[self.at..];
        let length = rest
            .iter()
            .position(|byte| matches!(byte, b',' | b'}') || byte.is_ascii_whitespace())?;
        let text = std::str::from_utf8(&rest[..length]).ok()?;
        let word = matches!(text, "true" | "false" | "null" | "NaN" | "Infinity" | "-Infinity");
        let digits = text.starts_with(|c: char| c.is_ascii_digit() || c == '-')
            && text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E'));
        if !word && !digits {
            return None;
        }
        self.at += length;
        Some(text)
    }

    /// A string; its escapes undone, bytes that are no UTF-8 replaced.
    fn string(&mut self) -> Option<Cow<'a, str>> {
        if self.bytes.get(self.at) != Some(&b'"') {
            return None;
        }
        let start = self.at + 1;
        let mut at = start;
        let mut escaped = false;
        loop {
            match self.bytes.get(at)? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    at += 2;
                }
                _ => at += 1,
            }
        }
        self.at = at + 1;
        let text = String::from_utf8_lossy(self.bytes.get(start..at)?);
        if escaped {
            unescape(&text).map(Cow::Owned)
        } else {
            Some(text)
        }
    }

    /// Passes over an object or a list, however deep, without looking at what is in it.
    fn skip_nested(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.bytes.get(self.at)? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.checked_sub(1)?,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Some(());
            }
        }
    }
}

fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    let mut units: Vec<u16> = Vec::new();
    while let Some(c) = chars.next() {
        if c != '\\' {
            flush(&mut units, &mut out);
            out.push(c);
            continue;
        }
        let plain = match chars.next()? {
            'u' => {
                let digits = chars.as_str().get(..4)?;
                units.push(u16::from_str_radix(digits, 16).ok()?);
                chars = chars.as_str()[4..].chars();
                continue;
            }
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            c @ ('"' | '\\' | '/') => c,
            _ => return None,
        };
        flush(&mut units, &mut out);
        out.push(plain);
    }
    flush(&mut units, &mut out);
    Some(out)
}

/// Code units of `\u` escapes in a row are UTF-16; those that are not are replaced.
fn flush(units: &mut Vec<u16>, out: &mut String) {
    out.extend(char::decode_utf16(units.drain(..)).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)));
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
