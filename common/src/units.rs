//! Durations and sizes as people write them: `30m`, `1h30m`, `16GiB`, `500MB`.
//!
//! What is read is exact or refused, and what is written reads back to the same value.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::document::shorten;

/// Why a text is not a duration or a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Not of the form of a duration.
    #[error(
        "{0:?} is not a duration; write it like \"30s\", \"5m\", \"1h30m\", \"2d\" or as a number of seconds"
    )]
    Duration(String),
    /// Not of the form of a size.
    #[error("{0:?} is not a size; write it like \"16GiB\", \"500MB\" or as a number of bytes")]
    Size(String),
    /// More than can be kept.
    #[error("{0:?} is too large")]
    TooLarge(String),
    /// Smaller than the smallest unit.
    #[error("{0:?} is finer than a {1}")]
    TooFine(String, &'static str),
}

/// Units of time in nanoseconds, largest first: the order in which they are written.
const TIMES: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Units of size in bytes. Where two texts are equally short the earlier unit is written.
const SIZES: [(&str, u64); 11] = [
    ("PiB", 1 << 50),
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("PB", 1_000_000_000_000_000),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

/// A duration as a person writes it: whole or decimal numbers with the units `d`, `h`, `m`, `s`, `ms`, `us`, `ns` from large to
/// small, or a plain number of seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct HumanDuration(pub Duration);

impl FromStr for HumanDuration {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let malformed = || UnitError::Duration(shorten(text));
        let too_large = || UnitError::TooLarge(shorten(text));
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(malformed());
        }
        let mut nanos = 0_u128;
        let mut units = TIMES.iter();
        let mut first = true;
        while !rest.is_empty() {
            let (number, tail) = split_number(rest).ok_or_else(malformed)?;
            let unit_length = tail
                .find(|c: char| !c.is_ascii_alphabetic())
                .unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(unit_length);
            let scale = match unit {
                "" if first && tail.is_empty() => 1_000_000_000,
                // The search goes on where it stopped: units come from large to small, each once.
                _ => {
                    units
                        .by_ref()
                        .find(|(name, _)| *name == unit)
                        .ok_or_else(malformed)?
                        .1
                }
            };
            let part = scaled(number, scale).map_err(|problem| match problem {
                Scaled::TooLarge => too_large(),
                Scaled::TooFine => UnitError::TooFine(shorten(text), "nanosecond"),
            })?;
            nanos = nanos.checked_add(part).ok_or_else(too_large)?;
            rest = tail;
            first = false;
        }
        let seconds = u64::try_from(nanos / 1_000_000_000).map_err(|_| too_large())?;
        let subsec = u32::try_from(nanos % 1_000_000_000).map_err(|_| too_large())?;
        Ok(Self(Duration::new(seconds, subsec)))
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut nanos = self.0.as_nanos();
        if nanos == 0 {
            return f.write_str("0s");
        }
        for (name, scale) in TIMES {
            if nanos >= scale {
                write!(f, "{}{name}", nanos / scale)?;
                nanos %= scale;
            }
        }
        Ok(())
    }
}

/// A number of bytes as a person writes it: a whole or decimal number with a unit (`KiB` to `PiB`, `KB` to `PB`, `B`, in any
/// case), or a plain number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = split_number(text.trim()).ok_or_else(|| UnitError::Size(shorten(text)))?;
        let unit = unit.trim_start();
        let scale = if unit.is_empty() {
            1
        } else {
            SIZES
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(unit))
                .ok_or_else(|| UnitError::Size(shorten(text)))?
                .1
        };
        let bytes = scaled(number, u128::from(scale)).map_err(|problem| match problem {
            Scaled::TooLarge => UnitError::TooLarge(shorten(text)),
            Scaled::TooFine => UnitError::TooFine(shorten(text), "byte"),
        })?;
        u64::try_from(bytes)
            .map(Self)
            .map_err(|_| UnitError::TooLarge(shorten(text)))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shortest = self.0.to_string();
        for (name, scale) in SIZES {
            if self.0 > 0 && self.0.is_multiple_of(scale) && scale > 1 {
                let text = format!("{}{name}", self.0 / scale);
                let as_short = text.len() == shortest.len() && !shortest.ends_with('B');
                if text.len() < shortest.len() || as_short {
                    shortest = text;
                }
            }
        }
        f.write_str(&shortest)
    }
}

/// Splits a text into the decimal number it begins with and the rest.
fn split_number(text: &str) -> Option<(&str, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    (digits > 0 && number.len() - digits <= 1 && !number.ends_with('.')).then_some((number, rest))
}

enum Scaled {
    TooLarge,
    TooFine,
}

/// `number * scale`, exactly.
fn scaled(number: &str, scale: u128) -> Result<u128, Scaled> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let fraction = fraction.trim_end_matches('0');
    let whole = if whole.is_empty() {
        0
    } else {
        whole.parse::<u128>().map_err(|_| Scaled::TooLarge)?
    };
    let mut total = whole.checked_mul(scale).ok_or(Scaled::TooLarge)?;
    if !fraction.is_empty() {
        let digits = u32::try_from(fraction.len()).map_err(|_| Scaled::TooFine)?;
        let divisor = 10_u128.checked_pow(digits).ok_or(Scaled::TooFine)?;
        let numerator = fraction.parse::<u128>().map_err(|_| Scaled::TooFine)?;
        let product = numerator.checked_mul(scale).ok_or(Scaled::TooFine)?;
        if !product.is_multiple_of(divisor) {
            return Err(Scaled::TooFine);
        }
        total = total.checked_add(product / divisor).ok_or(Scaled::TooLarge)?;
    }
    Ok(total)
}

macro_rules! text_or_number {
    ($name:ident, $schema_name:literal, $expecting:literal, $description:literal, $pattern:literal) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl serde::de::Visitor<'_> for Visitor {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }

                    // TOML knows signed numbers only.
                    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<$name, E> {
                        number.to_string().parse().map_err(E::custom)
                    }

                    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<$name, E> {
                        number.to_string().parse().map_err(E::custom)
                    }

                    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<$name, E> {
                        number.to_string().parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_any(Visitor)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                $schema_name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "description": $description,
                    "anyOf": [{"type": "string", "pattern": $pattern}, {"type": "number", "minimum": 0}],
                })
            }
        }
    };
}

text_or_number!(
    HumanDuration,
    "Duration",
    "a duration like \"30s\", \"5m\" or \"1h30m\"",
    "A duration such as 30s, 5m, 1h30m or 2d, or a number of seconds.",
    r"^([0-9.]+(d|h|m|s|ms|us|ns))+$|^[0-9.]+$"
);
text_or_number!(
    ByteSize,
    "Size",
    "a size like \"16GiB\" or \"500MB\"",
    "A size such as 16GiB or 500MB, or a number of bytes.",
    r"^[0-9.]+ ?([kKmMgGtTpP][iI]?)?[bB]?$"
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_read_as_written() {
        let cases = [
            ("30s", Duration::from_secs(30), "30s"),
            ("5m", Duration::from_secs(300), "5m"),
            ("1h30m", Duration::from_secs(5400), "1h30m"),
            ("1.5h", Duration::from_secs(5400), "1h30m"),
            ("2d", Duration::from_secs(172_800), "2d"),
            ("250ms", Duration::from_millis(250), "250ms"),
            ("90", Duration::from_secs(90), "1m30s"),
            ("0.25", Duration::from_millis(250), "250ms"),
            ("0", Duration::ZERO, "0s"),
        ];
        for (text, duration, back) in cases {
            assert_eq!(
                text.parse::<HumanDuration>(),
                Ok(HumanDuration(duration)),
                "{text}"
            );
            assert_eq!(HumanDuration(duration).to_string(), back);
        }
    }

    #[test]
    fn texts_that_are_no_duration_are_refused_with_the_remedy() {
        for text in [
            "", "m", "5 m", "-5s", "5x", "30m1h", "5m5m", "1.2.3s", "1.s", "5s3", "1e3s", "∞",
        ] {
            let error = text.parse::<HumanDuration>().unwrap_err();
            assert_eq!(error, UnitError::Duration(text.to_owned()));
        }
        assert_eq!(
            "5x".parse::<HumanDuration>().unwrap_err().to_string(),
            "\"5x\" is not a duration; write it like \"30s\", \"5m\", \"1h30m\", \"2d\" or as a number of seconds"
        );
        assert_eq!(
            "99999999999999999999999d"
                .parse::<HumanDuration>()
                .unwrap_err()
                .to_string(),
            "\"99999999999999999999999d\" is too large"
        );
        assert_eq!(
            "0.5ns".parse::<HumanDuration>().unwrap_err().to_string(),
            "\"0.5ns\" is finer than a nanosecond"
        );
    }

    #[test]
    fn sizes_read_as_written() {
        let cases = [
            ("16GiB", 16 << 30, "16GiB"),
            ("500MB", 500_000_000, "500MB"),
            ("1024", 1024, "1KiB"),
            ("1.5gib", 1_610_612_736, "1536MiB"),
            ("7 kb", 7000, "7KB"),
            ("12B", 12, "12"),
            ("0", 0, "0"),
        ];
        for (text, bytes, back) in cases {
            assert_eq!(text.parse::<ByteSize>(), Ok(ByteSize(bytes)), "{text}");
            assert_eq!(ByteSize(bytes).to_string(), back);
        }
        assert_eq!(
            "16Gi".parse::<ByteSize>().unwrap_err().to_string(),
            "\"16Gi\" is not a size; write it like \"16GiB\", \"500MB\" or as a number of bytes"
        );
        assert_eq!(
            "0.3B".parse::<ByteSize>().unwrap_err(),
            UnitError::TooFine("0.3B".to_owned(), "byte")
        );
        assert_eq!(
            "99999PiB".parse::<ByteSize>().unwrap_err(),
            UnitError::TooLarge("99999PiB".to_owned())
        );
    }

    proptest! {
        #[test]
        fn a_duration_reads_back(seconds: u64, nanos in 0_u32..1_000_000_000) {
            let duration = HumanDuration(Duration::new(seconds, nanos));
            prop_assert_eq!(duration.to_string().parse::<HumanDuration>().unwrap(), duration);
        }

        #[test]
        fn a_size_reads_back(mantissa: u16, shift in 0_u32..48, tens in 0_u32..14, decimal: bool) {
            let size = ByteSize(if decimal { u64::from(mantissa) * 10_u64.pow(tens) } else { u64::from(mantissa) << shift });
            prop_assert_eq!(size.to_string().parse::<ByteSize>().unwrap(), size);
        }

        #[test]
        fn no_text_panics(text in ".{0,40}", units in "[0-9.dhmsunkKMGiTPB ]{0,30}") {
            for text in [text, units] {
                let _ = text.parse::<HumanDuration>();
                let _ = text.parse::<ByteSize>();
            }
        }
    }
}
