//! Numbers as programs print them.

/// Largest whole number below which every whole number is a `f64`.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A number with optional sign, fraction and exponent, or `nan`, `inf`, `infinity` in any case. Spaces around it do not count.
#[must_use]
pub fn value(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}

/// A whole number of at least 0; may be written as a fraction that is whole, such as `3.0` or `1e3`.
#[must_use]
pub fn step(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(step) = text.parse::<i64>() {
        return (step >= 0).then_some(step);
    }
    let step: f64 = text.parse().ok()?;
    let whole = (0.0..=EXACT).contains(&step) && step.fract() == 0.0;
    // Through text, because there is no checked conversion; `-0.0` is 0.
    whole.then(|| format!("{:.0}", step.abs()).parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_programs_print_them() {
        for (text, expected) in [
            ("0.97", 0.97),
            (" -1e-3 ", -0.001),
            ("+5.", 5.0),
            (".5", 0.5),
            ("1E5", 1e5),
            ("inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
        ] {
            assert_eq!(value(text), Some(expected), "{text:?}");
        }
        assert!(value("NaN").is_some_and(f64::is_nan));
        for text in ["", ".", "e5", "1_000", "0x10", "1,5", "five", "--1", "1e"] {
            assert_eq!(value(text), None, "{text:?}");
        }
    }

    #[test]
    fn steps_are_whole_and_not_negative() {
        for (text, expected) in [
            ("0", 0),
            ("3.0", 3),
            ("1e3", 1000),
            ("-0.0", 0),
            ("9007199254740992.0", 1 << 53),
        ] {
            assert_eq!(step(text), Some(expected), "{text:?}");
        }
        assert_eq!(step("9223372036854775807"), Some(i64::MAX));
        for text in ["-1", "0.5", "nan", "inf", "1e300", "9223372036854775808", "", "x"] {
            assert_eq!(step(text), None, "{text:?}");
        }
    }
}
