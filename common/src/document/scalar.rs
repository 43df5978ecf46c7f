//! What an unquoted scalar may mean: the core schema of YAML 1.2, in which `no`, `off` and `30m` are texts.

/// A scalar's meaning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Resolved {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    /// May be infinite or NaN.
    Float(f64),
    Text,
}

/// The meaning of `text`, written `plain`ly or in quotes.
pub(super) fn resolve(text: &str, plain: bool) -> Resolved {
    if !plain {
        return Resolved::Text;
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Resolved::Null,
        "true" | "True" | "TRUE" => return Resolved::Bool(true),
        "false" | "False" | "FALSE" => return Resolved::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Resolved::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Resolved::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Resolved::Float(f64::NAN),
        _ => {}
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix)
            && digits.starts_with(|c: char| c.is_digit(radix))
        {
            return u64::from_str_radix(digits, radix).map_or(Resolved::Text, Resolved::Unsigned);
        }
    }
    // Rust would also read `inf`, `nan` and `infinity`.
    if !text
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'))
    {
        return Resolved::Text;
    }
    if let Ok(number) = text.parse::<u64>() {
        return Resolved::Unsigned(number);
    }
    if let Ok(number) = text.parse::<i64>()
        && number != 0
    {
        return Resolved::Signed(number);
    }
    text.parse().map_or(Resolved::Text, Resolved::Float)
}

/// `number` as an integer, if it is one and every integer of its size has a float of its own: within ±2^53, and not -0.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    reason = "checked to be whole and within ±2^53"
)]
pub fn whole(number: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let negative_zero = number == 0.0 && number.is_sign_negative();
    (number.fract() == 0.0 && number.abs() <= EXACT && !negative_zero).then_some(number as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_looks_like_a_number_is_one() {
        let cases = [
            ("1e-5", Resolved::Float(1e-5)),
            ("1E5", Resolved::Float(1e5)),
            (".5", Resolved::Float(0.5)),
            ("1.", Resolved::Float(1.0)),
            ("+7", Resolved::Unsigned(7)),
            ("-7", Resolved::Signed(-7)),
            ("-0", Resolved::Float(-0.0)),
            ("007", Resolved::Unsigned(7)),
            ("0x1F", Resolved::Unsigned(31)),
            ("18446744073709551615", Resolved::Unsigned(u64::MAX)),
            ("no", Resolved::Text),
            ("off", Resolved::Text),
            ("yes", Resolved::Text),
            ("30m", Resolved::Text),
            ("16GiB", Resolved::Text),
            ("inf", Resolved::Text),
            ("nan", Resolved::Text),
            ("1_000", Resolved::Text),
            ("1e-5x", Resolved::Text),
            ("-", Resolved::Text),
            ("1.2.3", Resolved::Text),
            ("2024-01-01", Resolved::Text),
            ("True", Resolved::Bool(true)),
            ("~", Resolved::Null),
        ];
        for (text, meaning) in cases {
            assert_eq!(resolve(text, true), meaning, "{text}");
            assert_eq!(resolve(text, false), Resolved::Text);
        }
    }
}
