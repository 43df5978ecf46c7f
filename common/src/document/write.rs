//! Tree to text: YAML as a person would write it, short maps and lists on one line. Reads back to the same tree.

use std::fmt::Write as _;

use super::{Content, Entry, Node, scalar};

/// Width up to which a map or a list stands on one line.
const WIDTH: usize = 100;
/// Columns that what is inside stands further to the right.
const INDENT: usize = 2;
/// Words that other readers of YAML take for true or false.
const WORDS: [&str; 8] = ["y", "n", "yes", "no", "on", "off", "t", "f"];

/// The whole document, which should be a map.
#[must_use]
pub fn write(document: &Node) -> String {
    match &document.content {
        Content::Map(entries) if !entries.is_empty() => entries
            .iter()
            .map(|entry| lines(&entry.key, &entry.value, 0))
            .collect(),
        _ => format!("{}\n", flow(document)),
    }
}

/// A key with its value, on lines that begin with so many spaces.
pub(super) fn lines(key: &str, value: &Node, indent: usize) -> String {
    let mut text = format!("{:indent$}{}:", "", quoted(key));
    after_key(value, indent, &mut text);
    text
}

/// A scalar where it may stand everywhere, also between others on one line; in quotes where it needs them.
#[must_use]
pub fn one_line(text: &str, plain: bool) -> String {
    if plain && scalar::resolve(text, true) != scalar::Resolved::Text {
        return if text.is_empty() {
            "null".to_owned()
        } else {
            text.to_owned()
        };
    }
    quoted(text)
}

/// What follows a key and its colon.
fn after_key(value: &Node, indent: usize, text: &mut String) {
    let line = flow(value);
    let fits = text.lines().last().unwrap_or_default().chars().count() + 1 + line.chars().count() <= WIDTH;
    let stays = fits
        && match &value.content {
            Content::Scalar { .. } => true,
            Content::List(items) => items.iter().all(is_scalar),
            Content::Map(entries) => stays_on_line(entries, indent),
        };
    match &value.content {
        Content::Scalar { text: scalar, plain } if *plain && scalar.is_empty() => text.push('\n'),
        Content::Scalar {
            text: scalar,
            plain: false,
        } if is_block(scalar) => {
            let _ = writeln!(text, " {}", if scalar.ends_with('\n') { "|" } else { "|-" });
            for line in scalar.lines() {
                let spaces = if line.is_empty() { 0 } else { indent + INDENT };
                let _ = writeln!(text, "{:spaces$}{line}", "");
            }
        }
        Content::Map(entries) if !stays && !entries.is_empty() => {
            text.push('\n');
            for entry in entries {
                text.push_str(&lines(&entry.key, &entry.value, indent + INDENT));
            }
        }
        Content::List(items) if !stays && !items.is_empty() => {
            text.push('\n');
            for item in items {
                let _ = writeln!(text, "{:spaces$}- {}", "", flow(item), spaces = indent + INDENT);
            }
        }
        Content::Scalar { .. } | Content::List(_) | Content::Map(_) => {
            let _ = writeln!(text, " {line}");
        }
    }
}

/// Of the first level only maps without maps: the parameters of a space stand below each other.
fn stays_on_line(entries: &[Entry], indent: usize) -> bool {
    indent > 0
        || entries.iter().all(|entry| match &entry.value.content {
            Content::Scalar { text, plain } => *plain || !is_block(text),
            Content::List(items) => items.iter().all(is_scalar),
            Content::Map(_) => false,
        })
}

fn is_scalar(node: &Node) -> bool {
    matches!(node.content, Content::Scalar { .. })
}

/// Whether a text is written as lines of its own. What would be lost or changed there is not.
fn is_block(text: &str) -> bool {
    let body = text.strip_suffix('\n').unwrap_or(text);
    body.contains('\n')
        && !body.ends_with('\n')
        && !text.starts_with([' ', '\n', '\t'])
        && text.chars().all(|c| c == '\n' || !must_be_escaped(c))
}

/// A node on one line.
fn flow(node: &Node) -> String {
    match &node.content {
        Content::Scalar { text, plain } => one_line(text, *plain),
        Content::List(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Content::Map(entries) => {
            let entries = entries
                .iter()
                .map(|entry| format!("{}: {}", quoted(&entry.key), flow(&entry.value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

/// A text, in quotes unless everybody reads it as that text without them.
fn quoted(text: &str) -> String {
    if is_safe(text) {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if must_be_escaped(c) => {
                let _ = match u32::from(c) {
                    code @ 0..=0xff => write!(quoted, "\\x{code:02X}"),
                    code @ 0x100..=0xffff => write!(quoted, "\\u{code:04X}"),
                    code => write!(quoted, "\\U{code:08X}"),
                };
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Characters that cannot be seen, or turn others around.
fn must_be_escaped(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

fn is_safe(text: &str) -> bool {
    let begins = |c: char| c.is_alphanumeric() || matches!(c, '_' | '/' | '.' | '(' | '$' | '+');
    let may_follow = |c: char| {
        begins(c)
            || matches!(
                c,
                ' ' | '-' | '=' | '*' | '<' | '>' | ')' | '%' | ';' | '^' | '~' | '|' | '@'
            )
    };
    let is_flag = text.starts_with("--") && text.len() > 2;
    (text.starts_with(begins) || is_flag)
        && !text.ends_with(' ')
        && !text.starts_with("---")
        && text != "..."
        && text.chars().all(may_follow)
        && scalar::resolve(text, true) == scalar::Resolved::Text
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Place, read, same};
    use super::*;

    #[test]
    fn a_document_looks_as_if_a_person_had_written_it() {
        let text = "\
name: digits
message: |-
  first line
    and a second
objective: {metric: val_acc, goal: maximize, from: best}
space:
  lr: {type: float, low: 1e-5, high: 1.0, scale: log}
  momentum: {type: float, low: 0, high: 0.99, when: {optimizer: [sgd]}}
  choice: {type: categorical, choices: [\"8\", 8, \"no\", sgd]}
constraints: [batch * width <= 16384]
early_stopping:
  - {rule: median, warmup_steps: 5}
trial:
  command: [python, train.py, \"--lr={lr}\", --epochs=6]
  steps: {name: epoch, max: 50}
";
        assert_eq!(write(&read(text).unwrap()), text);
    }

    fn any_scalar() -> impl Strategy<Value = Content> {
        prop_oneof![
            (any::<String>()).prop_map(|text| Content::Scalar { text, plain: false }),
            "[a-z:#,\\[\\]{}'\"&*!|>%@` \\n-]{0,12}".prop_map(|text| Content::Scalar { text, plain: false }),
            prop::sample::select(vec!["1e-5", "1", "-0.5", "true", "null", "", "30m", "~", ".inf"]).prop_map(
                |text| Content::Scalar {
                    text: text.to_owned(),
                    plain: true
                }
            ),
        ]
    }

    fn at(content: Content) -> Node {
        let place = Place::File { line: 1, column: 1 };
        Node { place, content }
    }

    fn any_node() -> impl Strategy<Value = Content> {
        any_scalar().prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5)
                    .prop_map(|items| Content::List(items.into_iter().map(at).collect())),
                prop::collection::hash_map("[a-zA-Z0-9 :.#-]{1,6}", inner, 0..5).prop_map(|entries| {
                    let entry = |(key, value)| Entry {
                        key,
                        place: Place::File { line: 1, column: 1 },
                        value: at(value),
                    };
                    Content::Map(entries.into_iter().map(entry).collect())
                }),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]
        #[test]
        fn whatever_is_written_reads_back(content in any_node()) {
            let node = at(content);
            let text = write(&node);
            let again = read(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
            prop_assert!(same(&again, &node), "{text}\n{again:?}");
        }
    }
}
