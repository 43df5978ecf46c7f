//! JSON as it is stored: floats read back to the same bits, NaN and infinities are texts, NUL characters become U+FFFD.
//!
//! Postgres keeps no NUL in any text, and one in a log must not stop a commit.

use std::fmt;
use std::io;

use serde::de::{DeserializeOwned, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::ser::{CharEscape, CompactFormatter, Formatter};
use tunesmith_common::Timestamp;
use tunesmith_common::measurement::MetricName;

use super::super::{PointChunk, StoreError};
use super::corrupt;

const NUL_STAND_IN: &str = "\u{fffd}";

/// Text without NUL characters.
pub(in crate::store) fn text(text: &str) -> String {
    if text.contains('\0') {
        text.replace('\0', NUL_STAND_IN)
    } else {
        text.to_owned()
    }
}

struct WithoutNul;

impl Formatter for WithoutNul {
    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        match escape {
            CharEscape::AsciiControl(0) => writer.write_all(NUL_STAND_IN.as_bytes()),
            escape => CompactFormatter.write_char_escape(writer, escape),
        }
    }
}

/// Writes `value`, whose floats must be finite.
pub(in crate::store) fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<String, StoreError> {
    let mut bytes = Vec::with_capacity(128);
    let written = value.serialize(&mut serde_json::Serializer::with_formatter(
        &mut bytes, WithoutNul,
    ));
    written.map_err(|error| StoreError::Invalid(format!("{error}")))?;
    String::from_utf8(bytes).map_err(|error| StoreError::Invalid(format!("{error}")))
}

/// Reads what [`to_json`] wrote; `what` says what it is in errors.
pub(in crate::store) fn from_json<T: DeserializeOwned>(what: &str, json: &str) -> Result<T, StoreError> {
    serde_json::from_str(json).map_err(|error| corrupt(format_args!("{what}: {error}")))
}

/// A float that may be NaN or infinite.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Number(pub(in crate::store) f64);

impl Number {
    /// What stands for a number that is not finite.
    pub(in crate::store) fn name(self) -> Option<&'static str> {
        match self.0 {
            value if value.is_nan() => Some("NaN"),
            f64::INFINITY => Some("Infinity"),
            f64::NEG_INFINITY => Some("-Infinity"),
            _ => None,
        }
    }

    /// The number that `name` stands for.
    pub(in crate::store) fn named(name: &str) -> Option<Self> {
        match name {
            "NaN" => Some(Self(f64::NAN)),
            "Infinity" => Some(Self(f64::INFINITY)),
            "-Infinity" => Some(Self(f64::NEG_INFINITY)),
            _ => None,
        }
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.name() {
            Some(name) => serializer.serialize_str(name),
            None => serializer.serialize_f64(self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberVisitor;
        impl Visitor<'_> for NumberVisitor {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, \"NaN\", \"Infinity\" or \"-Infinity\"")
            }

            fn visit_f64<E>(self, value: f64) -> Result<Number, E> {
                Ok(Number(value))
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Number, E> {
                Number::named(name).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(name), &self))
            }
        }
        deserializer.deserialize_any(NumberVisitor)
    }
}

/// Values that may be missing, as a JSON array.
pub(in crate::store) fn values_to_json(values: &[Option<f64>]) -> Result<String, StoreError> {
    struct Values<'a>(&'a [Option<f64>]);
    impl Serialize for Values<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq(self.0.iter().map(|value| value.map(Number)))
        }
    }
    to_json(&Values(values))
}

/// Reads what [`values_to_json`] wrote.
pub(in crate::store) fn values_from_json(json: &str) -> Result<Box<[Option<f64>]>, StoreError> {
    if json == "[]" {
        return Ok(Box::default()); // as for most of a million trials
    }
    let values: Vec<Option<Number>> = from_json("more_values", json)?;
    Ok(values
        .into_iter()
        .map(|value| value.map(|number| number.0))
        .collect())
}

/// Stages as they are stored.
/// Metrics with their values, in order, as a JSON object.
pub(in crate::store) struct Metrics<M>(pub(in crate::store) M);

impl Serialize for Metrics<&[(MetricName, f64)]> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, Number(*value))))
    }
}

impl<'de> Deserialize<'de> for Metrics<Vec<(MetricName, f64)>> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MetricsVisitor;
        impl<'de> Visitor<'de> for MetricsVisitor {
            type Value = Vec<(MetricName, f64)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of metric names to numbers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut metrics = Vec::with_capacity(map.size_hint().unwrap_or(0));
                while let Some((name, Number(value))) = map.next_entry()? {
                    metrics.push((name, value));
                }
                Ok(metrics)
            }
        }
        deserializer.deserialize_map(MetricsVisitor).map(Self)
    }
}

/// Points as `[[step, value, microseconds since 1970, microseconds until it arrived], ...]`.
pub(in crate::store) fn points_to_json(chunk: &PointChunk) -> Result<String, StoreError> {
    struct Points<'a>(&'a PointChunk);
    impl Serialize for Points<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let PointChunk {
                steps,
                values,
                times,
                arrivals,
                ..
            } = self.0;
            let points = steps.iter().zip(values).zip(times.iter().zip(arrivals));
            serializer.collect_seq(points.map(|((step, value), (at, arrival))| {
                // The difference, which is short.
                let late = arrival.as_micros().wrapping_sub(at.as_micros());
                (step, Number(*value), at.as_micros(), late)
            }))
        }
    }
    to_json(&Points(chunk))
}

/// Steps, values, times and arrivals of points.
pub(in crate::store) type Columns = (Vec<i64>, Vec<f64>, Vec<Timestamp>, Vec<Timestamp>);

/// A point as it is stored. When it arrived was not noted at first: then that stands for it which the reporter's clock said.
struct StoredPoint(i64, f64, i64, i64);

impl<'de> Deserialize<'de> for StoredPoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PointVisitor;
        impl<'de> Visitor<'de> for PointVisitor {
            type Value = StoredPoint;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("step, value, time and lateness of a point")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut fields: A) -> Result<StoredPoint, A::Error> {
                let missing = |length| A::Error::invalid_length(length, &self);
                let step = fields.next_element()?.ok_or_else(|| missing(0))?;
                let Number(value) = fields.next_element()?.ok_or_else(|| missing(1))?;
                let at = fields.next_element()?.ok_or_else(|| missing(2))?;
                Ok(StoredPoint(step, value, at, fields.next_element()?.unwrap_or(0)))
            }
        }
        deserializer.deserialize_seq(PointVisitor)
    }
}

/// Reads what [`points_to_json`] wrote.
pub(in crate::store) fn points_from_json(json: &str) -> Result<Columns, StoreError> {
    let points: Vec<StoredPoint> = from_json("points", json)?;
    let mut columns: Columns = Columns::default();
    for StoredPoint(step, value, at, late) in points {
        columns.0.push(step);
        columns.1.push(value);
        columns.2.push(Timestamp::from_micros(at));
        columns.3.push(Timestamp::from_micros(at.wrapping_add(late)));
    }
    Ok(columns)
}

/// Adds steps and values of what [`points_to_json`] wrote, without the times.
///
/// As it was written it is read by hand, which takes a fifth of the time; anything else, such as spaces, the usual way.
pub(in crate::store) fn steps_and_values_from_json(
    json: &str,
    points: &mut Vec<(i64, f64)>,
) -> Result<(), StoreError> {
    let known = points.len();
    if plain_points(json, points).is_some() {
        return Ok(());
    }
    points.truncate(known);
    let (steps, values, ..) = points_from_json(json)?;
    points.extend(steps.into_iter().zip(values));
    Ok(())
}

/// None if the text has another form, or something may be wrong with it.
fn plain_points(json: &str, points: &mut Vec<(i64, f64)>) -> Option<()> {
    let bytes = json.as_bytes();
    let mut at = 0;
    let expect = |at: &mut usize, wanted: &[u8]| {
        let found = bytes.get(*at..)?.starts_with(wanted);
        *at += wanted.len();
        found.then_some(())
    };
    expect(&mut at, b"[[")?;
    loop {
        let step = whole_number(bytes, &mut at)?;
        expect(&mut at, b",")?;
        let start = at;
        at += bytes.get(at..)?.iter().position(|byte| *byte == b',')?;
        points.push((step, number(json.get(start..at)?)?));
        expect(&mut at, b",")?;
        whole_number(bytes, &mut at)?;
        if bytes.get(at) == Some(&b',') {
            at += 1;
            whole_number(bytes, &mut at)?;
        }
        if bytes.get(at..)? == b"]]" {
            return Some(());
        }
        expect(&mut at, b"],[")?;
    }
}

/// Reads a whole number and moves behind it.
fn whole_number(bytes: &[u8], at: &mut usize) -> Option<i64> {
    let negative = bytes.get(*at) == Some(&b'-');
    *at += usize::from(negative);
    let start = *at;
    let mut number = 0_i64;
    // Downwards, because there is one more negative number than there are positive ones.
    while let Some(digit) = bytes.get(*at).filter(|byte| byte.is_ascii_digit()) {
        number = number.checked_mul(10)?.checked_sub(i64::from(digit - b'0'))?;
        *at += 1;
    }
    if *at == start {
        return None;
    }
    if negative {
        Some(number)
    } else {
        number.checked_neg()
    }
}

fn number(text: &str) -> Option<f64> {
    if let Some(name) = text.strip_prefix('"') {
        return Number::named(name.strip_suffix('"')?).map(|Number(value)| value);
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    // Names such as "nan" are numbers to the parser, but not in JSON.
    if !digits.as_bytes().first()?.is_ascii_digit() {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_nul_becomes_a_replacement_character_and_nothing_else_changes() {
        let tricky = "a\0b \\u0000 \u{1} \"quoted\" \u{1f600}";
        let json = to_json(tricky).unwrap();
        assert!(
            !json.contains("\\u0000 \u{1}") && json.contains("\\\\u0000"),
            "{json}"
        );
        assert_eq!(
            from_json::<String>("text", &json).unwrap(),
            tricky.replace('\0', "\u{fffd}")
        );
        assert_eq!(text(tricky), tricky.replace('\0', "\u{fffd}"));
    }

    proptest! {
        /// Whatever the bits, the number comes back; one NaN stands for all.
        #[test]
        fn every_float_reads_back(bits in any::<u64>()) {
            for value in [f64::from_bits(bits), f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0] {
                let read: Number = from_json("number", &to_json(&Number(value)).unwrap()).unwrap();
                prop_assert!(read.0.to_bits() == value.to_bits() || (read.0.is_nan() && value.is_nan()));
            }
        }

        /// Read by hand or the usual way: the same points.
        #[test]
        fn points_are_read_by_hand_as_they_are_the_usual_way(
            points in prop::collection::vec((any::<i64>(), any::<f64>(), any::<i64>(), any::<i64>()), 1..20),
            spaced in any::<bool>(),
            is_old in any::<bool>(),
        ) {
            let chunk = PointChunk {
                trial: tunesmith_common::TrialNumber(1),
                attempt: tunesmith_common::Attempt(1),
                metric: "loss".parse().unwrap(),
                first_seq: 1,
                last_seq: 99,
                steps: points.iter().map(|point| point.0).collect(),
                values: points.iter().map(|point| point.1).collect(),
                times: points.iter().map(|point| Timestamp::from_micros(point.2)).collect(),
                arrivals: points.iter().map(|point| Timestamp::from_micros(point.3)).collect(),
            };
            let json = points_to_json(&chunk).unwrap();
            prop_assert_eq!(&points_from_json(&json).unwrap().3, &chunk.arrivals);
            let json = if is_old { without_arrivals(&json) } else { json };
            let known = if is_old { &chunk.times } else { &chunk.arrivals };
            prop_assert_eq!(&points_from_json(&json).unwrap().3, known);
            let shown = if spaced { json.replace(',', ", ") } else { json };
            let mut read = vec![(7, 7.0)];
            steps_and_values_from_json(&shown, &mut read).unwrap();
            prop_assert_eq!(read.remove(0), (7, 7.0));
            prop_assert_eq!(plain_points(&shown, &mut Vec::new()).is_some(), !spaced);
            prop_assert_eq!(read.len(), points.len());
            for ((step, value), (known_step, known, ..)) in read.iter().zip(&points) {
                prop_assert_eq!(step, known_step);
                prop_assert!(value.to_bits() == known.to_bits() || (value.is_nan() && known.is_nan()));
            }
        }
    }

    /// Points as they were written at first.
    fn without_arrivals(json: &str) -> String {
        let points = json.trim_start_matches("[[").trim_end_matches("]]").split("],[");
        let points: Vec<&str> = points.map(|point| point.rsplit_once(',').unwrap().0).collect();
        format!("[[{}]]", points.join("],["))
    }

    #[test]
    fn what_is_no_list_of_points_is_refused() {
        for json in [
            "",
            "[[",
            "[[1]]",
            "[[1,2]]",
            "[[1,nan,3]]",
            "[[1,\"nan\",3]]",
            "[[1,2,3],[4,5,6]",
            "[[1,2,3]],[[4,5,6]]",
            "[[1,2,3,4,5]]",
        ] {
            assert!(
                steps_and_values_from_json(json, &mut Vec::new()).is_err(),
                "{json}"
            );
        }
        let mut points = Vec::new();
        steps_and_values_from_json("[]", &mut points).unwrap();
        assert!(points.is_empty());
    }
}
