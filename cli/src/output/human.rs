//! Numbers, sizes, durations and times as people read them, and text from outside made safe for a terminal.

use std::time::Duration;

use tunesmith_common::Timestamp;

/// Text from outside without control characters and escape sequences (line ends and tabs become spaces): it can neither colour the
/// terminal nor move its cursor.
#[must_use]
pub(crate) fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\n' | '\t' => clean.push(' '),
            '\u{1b}' => skip_escape(&mut chars),
            // Bidirectional controls reorder what is shown.
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            c if c.is_control() => {}
            c => clean.push(c),
        }
    }
    clean
}

/// Skips the rest of an escape sequence (ECMA-48): what follows ESC until the sequence ends.
fn skip_escape(chars: &mut std::str::Chars<'_>) {
    match chars.next() {
        Some('[') => {
            chars.find(|c| ('\u{40}'..='\u{7e}').contains(c));
        }
        // A command for the operating system, such as a window's title; its end is a bell or another escape sequence.
        Some(']') => {
            if chars.find(|c| matches!(c, '\u{7}' | '\u{1b}')) == Some('\u{1b}') {
                chars.next();
            }
        }
        Some(_) | None => {}
    }
}

/// `text` cut to at most `limit` characters, with an ellipsis if something was cut.
#[must_use]
pub(crate) fn shorten(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    text.chars().take(limit.saturating_sub(1)).chain(['…']).collect()
}

/// An argument as it would be typed.
#[must_use]
pub(crate) fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_=./:,@%+{}".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A number with five significant digits, for tables: `0.98612`, `1.2e-05`, `12346`, `NaN`.
#[must_use]
pub(crate) fn short_number(value: f64) -> String {
    if !value.is_finite() {
        return exact_number(value);
    }
    let rounded: f64 = format!("{value:.4e}").parse().unwrap_or(value);
    exact_number(rounded)
}

/// A number in the shortest text that reads back to it; whole numbers without a fraction.
#[must_use]
pub(crate) fn exact_number(value: f64) -> String {
    let magnitude = value.abs();
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
    } else if value == 0.0 || (1e-4..1e15).contains(&magnitude) {
        format!("{value}")
    } else {
        let text = format!("{value:e}");
        match text.split_once("e-") {
            Some((mantissa, exponent)) => format!("{mantissa}e-{exponent:0>2}"),
            None => text.replace('e', "e+"),
        }
    }
}

/// An amount of money: `12.30`, and `0.00042` where two digits would show nothing.
#[must_use]
pub(crate) fn amount(value: f64) -> String {
    if value != 0.0 && value.abs() < 0.01 {
        exact_number(format!("{value:.1e}").parse().unwrap_or(value))
    } else {
        format!("{value:.2}")
    }
}

/// A count with separators: `1,024`.
#[must_use]
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 trial`, `2 trials`, `2 epochs`, `2 batches`.
#[must_use]
pub(crate) fn plural(value: u64, noun: &str) -> String {
    let hisses = ["s", "x", "sh", "tch"].iter().any(|end| noun.ends_with(end));
    let ending = match value {
        1 => "",
        _ if hisses => "es",
        _ => "s",
    };
    format!("{} {noun}{ending}", count(value))
}

/// A size: `512 B`, `1.5 GiB`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
pub(crate) fn bytes(value: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if value < 1024 {
        return format!("{value} B");
    }
    let mut scaled = value as f64 / 1024.0;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if scaled < 1024.0 {
            break;
        }
        scaled /= 1024.0;
        unit = next;
    }
    let text = if scaled >= 100.0 {
        format!("{scaled:.0}")
    } else {
        format!("{scaled:.1}")
    };
    format!("{} {unit}", text.strip_suffix(".0").unwrap_or(&text))
}

/// A duration in at most two units: `85 ms`, `3.2 s`, `2 min 41 s`, `3 h 12 min`, `2 d 3 h`.
#[must_use]
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if duration < Duration::from_secs(1) {
        return format!("{} ms", duration.as_millis());
    }
    if seconds < 10 {
        let text = format!("{:.1}", duration.as_secs_f64());
        return format!("{} s", text.strip_suffix(".0").unwrap_or(&text));
    }
    let two = |big: u64, unit: &str, small: u64, small_unit: &str| {
        if small == 0 {
            format!("{big} {unit}")
        } else {
            format!("{big} {unit} {small} {small_unit}")
        }
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => two(seconds / 60, "min", seconds % 60, "s"),
        3_600..86_400 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

/// How long ago something was, in one unit: `12 s ago`, `3 h ago`. Clocks of two machines differ: the near future is `now`.
#[must_use]
pub(crate) fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.saturating_since(at).as_secs();
    match seconds {
        0..2 => "now".to_owned(),
        2..60 => format!("{seconds} s ago"),
        60..3_600 => format!("{} min ago", seconds / 60),
        3_600..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

/// A time to the second with how long ago it was: `2026-11-23 15:56:27 UTC (3 min ago)`.
#[must_use]
pub(crate) fn time(at: Timestamp, now: Timestamp) -> String {
    let whole = Timestamp::from_micros(at.as_micros().div_euclid(1_000_000) * 1_000_000).to_string();
    let text = whole.replace('T', " ");
    let text = text
        .strip_suffix('Z')
        .map_or_else(|| text.clone(), |text| format!("{text} UTC"));
    format!("{text} ({})", ago(at, now))
}

/// A curve in one line of at most `width` characters; values that are no number are `×`.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the share is within 0 and 1"
)]
pub(crate) fn sparkline(values: &[f64], width: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    if values.is_empty() || width == 0 {
        return String::new();
    }
    // Of each group of neighbours the last is shown, so that the end of the line is the end of the curve.
    let shown = values.len().min(width);
    let picked: Vec<f64> = (1..=shown)
        .map(|index| values[index * values.len() / shown - 1])
        .collect();
    let finite = || picked.iter().copied().filter(|value| value.is_finite());
    let low = finite().fold(f64::INFINITY, f64::min);
    let high = finite().fold(f64::NEG_INFINITY, f64::max);
    picked
        .iter()
        .map(|value| {
            if !value.is_finite() {
                return '×';
            }
            let share = if high > low {
                (value - low) / (high - low)
            } else {
                0.5
            };
            BARS[((share * 7.0).round() as usize).min(7)]
        })
        .collect()
}

/// Whole percent of `part` in `whole`; none of nothing.
#[must_use]
pub(crate) fn percent(part: u64, whole: u64) -> Option<u64> {
    (part.saturating_mul(100).saturating_add(whole / 2)).checked_div(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_what_matters() {
        let cases = [
            (0.986_123_456, "0.98612"),
            (0.5, "0.5"),
            (3.0, "3"),
            (0.000_012_345_678, "1.2346e-05"),
            (1_234_567.0, "1234600"),
            (1e20, "1e+20"),
            (-0.25, "-0.25"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ];
        for (value, text) in cases {
            assert_eq!(short_number(value), text);
        }
        assert_eq!(exact_number(0.000_012_345_678), "1.2345678e-05");
        let amounts = [0.0, 12.3, 1_234.567, 0.000_423, 1e-9].map(amount);
        assert_eq!(amounts, ["0.00", "12.30", "1234.57", "0.00042", "1e-09"]);
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(999), "999");
        assert_eq!(
            [plural(1, "batch"), plural(2, "batch"), plural(0, "epoch")],
            ["1 batch", "2 batches", "0 epochs"]
        );
    }

    #[test]
    fn durations_and_sizes_have_two_units_at_most() {
        let cases = [
            (0.085, "85 ms"),
            (3.24, "3.2 s"),
            (9.0, "9 s"),
            (161.0, "2 min 41 s"),
            (120.0, "2 min"),
            (11_520.0, "3 h 12 min"),
            (183_600.0, "2 d 3 h"),
        ];
        for (seconds, text) in cases {
            assert_eq!(duration(Duration::from_secs_f64(seconds)), text);
        }
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(1_610_612_736), "1.5 GiB");
        assert_eq!(bytes(17_179_869_184), "16 GiB");
    }

    #[test]
    fn times_are_told_from_now() {
        let now = Timestamp::from_micros(1_763_900_000_000_000);
        let before = |seconds: i64| Timestamp::from_micros(now.as_micros() - seconds * 1_000_000);
        assert_eq!(ago(before(-3), now), "now");
        assert_eq!(ago(before(59), now), "59 s ago");
        assert_eq!(ago(before(7_300), now), "2 h ago");
        assert_eq!(ago(before(864_000), now), "10 d ago");
        assert_eq!(time(before(60), now), "2025-11-23 12:12:20 UTC (1 min ago)");
    }

    #[test]
    fn a_sparkline_ends_where_the_curve_ends() {
        assert_eq!(sparkline(&[0.0, 0.5, f64::NAN, 1.0], 10), "▁▅×█");
        assert_eq!(sparkline(&[3.0, 3.0], 10), "▅▅");
        let long: Vec<f64> = (0..100).map(f64::from).collect();
        let line = sparkline(&long, 8);
        assert_eq!(line, "▁▂▃▄▅▆▇█");
        assert_eq!(sparkline(&[], 8), "");
        assert_eq!(sparkline(&[f64::NAN], 8), "×");
    }

    #[test]
    fn text_from_outside_cannot_move_the_cursor() {
        assert_eq!(clean("a\u{1b}[2Jb\nc\u{202e}d\r"), "ab cd");
        assert_eq!(
            clean("\u{1b}]0;title\u{7}x\u{1b}[1;31my\u{1b}]0;t\u{1b}\\z\u{1b}["),
            "xyz"
        );
        assert_eq!(shorten("hyperparameter", 6), "hyper…");
    }
}
