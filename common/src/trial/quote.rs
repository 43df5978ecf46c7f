//! The last lines of a program's output, as they are quoted in a message. Pure; whatever the program printed, what comes out is one
//! short line of harmless text.

/// Lines that are quoted at most.
const LINES: usize = 5;
/// Characters of the quotation at most.
const CHARACTERS: usize = 500;

/// Quotes the last lines of `output` that are not blank: each in quotation marks, control characters escaped. A line that is mostly no text
/// is not shown but counted. Empty if there is nothing to quote.
#[must_use]
pub fn last_lines(output: &str) -> String {
    // Progress bars return to the beginning of their line.
    let lines = output.rsplit(['\n', '\r']).filter(|line| !line.trim().is_empty());
    let mut quoted: Vec<String> = Vec::new();
    let mut room = CHARACTERS;
    for line in lines.take(LINES) {
        let text = quote(line);
        let length = text.chars().count() + 1;
        if length > room {
            if quoted.is_empty() {
                quoted.push(quote_end(line));
            }
            break;
        }
        room -= length;
        quoted.push(text);
    }
    quoted.reverse();
    quoted.join(" ")
}

fn quote(line: &str) -> String {
    if is_binary(line) {
        return format!("({} characters that are no text)", line.chars().count());
    }
    format!("{:?}", line.trim_end())
}

/// As much of the end of a long line as there is room for.
fn quote_end(line: &str) -> String {
    let line = line.trim_end();
    let mut kept: Vec<String> = Vec::new();
    // The quotation marks and the sign that something is left out.
    let mut room = CHARACTERS - 3;
    for character in line.chars().rev() {
        let escaped = match character {
            '\'' => "'".to_owned(),
            other => other.escape_debug().to_string(),
        };
        let length = escaped.chars().count();
        if length > room {
            break;
        }
        room -= length;
        kept.push(escaped);
    }
    kept.reverse();
    format!("\"…{}\"", kept.concat())
}

/// Whether more than a tenth of a line is no text: control characters, or what could not be decoded.
fn is_binary(line: &str) -> bool {
    let strange =
        |c: &char| *c == char::REPLACEMENT_CHARACTER || (c.is_control() && !matches!(c, '\t' | '\u{1b}'));
    line.chars().filter(strange).count() * 10 > line.chars().count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_lines_are_quoted_each_for_itself() {
        let output: String = (1..=9).map(|line| format!("line {line}\n")).collect();
        assert_eq!(
            last_lines(&output),
            r#""line 5" "line 6" "line 7" "line 8" "line 9""#
        );
        assert_eq!(last_lines("no newline"), r#""no newline""#);
        assert_eq!(last_lines("  indented \r\n\n \n"), r#""  indented""#);
        assert_eq!(last_lines("10%\r55%\r100%\n"), r#""10%" "55%" "100%""#);
        for nothing in ["", "\n", " \r\n\t\n"] {
            assert_eq!(last_lines(nothing), "");
        }
    }

    #[test]
    fn control_characters_are_escaped_and_binary_output_is_named() {
        assert_eq!(
            last_lines("a \u{1b}[31mred\u{1b}[0m \"word\"\tand \u{202e}back\n"),
            r#""a \u{1b}[31mred\u{1b}[0m \"word\"\tand \u{202e}back""#
        );
        assert_eq!(
            last_lines("fine\n\u{fffd}\u{1}PNG\u{fffd}\u{fffd}\u{0}\nbye"),
            r#""fine" (8 characters that are no text) "bye""#
        );
        // One byte that is wrong does not hide a line.
        assert_eq!(last_lines("Fehler: gr\u{fffd}n"), "\"Fehler: gr\u{fffd}n\"");
    }

    #[test]
    fn what_does_not_fit_is_left_out_from_the_beginning() {
        let long = format!("{}the end", "x".repeat(10_000));
        let quoted = last_lines(&format!("before\n{long}\n"));
        assert_eq!(quoted.chars().count(), CHARACTERS);
        assert!(
            quoted.starts_with("\"…xx") && quoted.ends_with("the end\""),
            "{quoted}"
        );
        let quoted = last_lines(&format!("before\n{long}\nafter\n"));
        assert_eq!(quoted, "\"after\"");
    }

    proptest! {
        /// Whatever was printed, the quotation is one line of bounded length without control characters.
        #[test]
        fn a_quotation_is_always_harmless(output in "(?s)[\\x00-\\x7f\u{80}-\u{a0}\u{202a}-\u{202e}é\u{fffd}😀]{0,900}") {
            let quoted = last_lines(&output);
            prop_assert!(quoted.chars().count() <= CHARACTERS + 1, "{}", quoted.chars().count());
            prop_assert!(!quoted.chars().any(|c| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c)), "{quoted:?}");
        }
    }
}
