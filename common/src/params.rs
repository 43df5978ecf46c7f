//! Values of parameters, as people write them and as trainings get them.
//!
//! A number is printed so that it reads back to the same value, whatever the channel.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

pub use crate::id::ParameterName;

/// Value of one parameter.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ParamValue {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A finite number.
    Float(f64),
    /// A text.
    Text(String),
}

impl<'de> Deserialize<'de> for ParamValue {
    // Derived, it would try one variant after the other and write a message each time; there may be millions of values.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = ParamValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false, a number or a text")
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<ParamValue, E> {
                Ok(ParamValue::Bool(value))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<ParamValue, E> {
                Ok(ParamValue::Int(value))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<ParamValue, E> {
                #[expect(clippy::cast_precision_loss, reason = "larger than any whole number we have")]
                let float = value as f64;
                Ok(i64::try_from(value).map_or(ParamValue::Float(float), ParamValue::Int))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<ParamValue, E> {
                Ok(ParamValue::Float(value))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<ParamValue, E> {
                Ok(ParamValue::Text(value.to_owned()))
            }

            fn visit_string<E: de::Error>(self, value: String) -> Result<ParamValue, E> {
                Ok(ParamValue::Text(value))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl fmt::Display for ParamValue {
    /// The shortest text that reads back to the same value: `true`, `32`, `0.001`, `1e-05`, `adam`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Float(value) => write_float(f, *value),
            Self::Text(value) => f.write_str(value),
        }
    }
}

/// Numbers as Python writes them, so that they look familiar in logs and commands: scientific notation outside
/// `1e-4 <= |x| < 1e16` and always a sign that this is not a whole number.
fn write_float(f: &mut fmt::Formatter<'_>, value: f64) -> fmt::Result {
    let magnitude = value.abs();
    if value == 0.0 || (1e-4..1e16).contains(&magnitude) {
        return write!(f, "{value:?}");
    }
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) if exponent.starts_with('-') => {
            write!(f, "{mantissa}e-{:0>2}", &exponent[1..])
        }
        Some((mantissa, exponent)) => write!(f, "{mantissa}e+{exponent:0>2}"),
        None => f.write_str(&text),
    }
}

/// Values of the active parameters of a trial, in the order of the study's search space.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Params(Vec<(ParameterName, ParamValue)>);

impl Params {
    /// No parameters.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Parameters of which the caller knows that all names are different.
    pub(crate) fn from_distinct(pairs: Vec<(ParameterName, ParamValue)>) -> Self {
        Self(pairs)
    }

    /// Adds a parameter at the end, or replaces the value it has.
    pub fn insert(&mut self, name: ParameterName, value: ParamValue) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some(slot) => slot.1 = value,
            None => self.0.push((name, value)),
        }
    }

    /// Value of a parameter, if it is active.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&ParamValue> {
        self.0
            .iter()
            .find(|(known, _)| known.as_str() == name)
            .map(|(_, value)| value)
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&ParameterName, &ParamValue)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// Number of active parameters.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no parameter is active.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(ParameterName, ParamValue)> for Params {
    fn from_iter<I: IntoIterator<Item = (ParameterName, ParamValue)>>(pairs: I) -> Self {
        let mut params = Self::new();
        for (name, value) in pairs {
            params.insert(name, value);
        }
        params
    }
}

impl Serialize for Params {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Params {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Params;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of parameter names to values")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Params, A::Error> {
                let mut params = Params::new();
                while let Some((name, value)) = map.next_entry()? {
                    params.insert(name, value);
                }
                Ok(params)
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_look_as_python_writes_them() {
        let cases = [
            (1e-5, "1e-05"),
            (0.001, "0.001"),
            (1.0, "1.0"),
            (1e16, "1e+16"),
            (-2.5e-7, "-2.5e-07"),
            (1e300, "1e+300"),
            (0.1, "0.1"),
        ];
        for (value, text) in cases {
            assert_eq!(ParamValue::Float(value).to_string(), text);
        }
    }

    proptest! {
        /// Whatever the number, the text of it is the number.
        #[test]
        fn a_float_reads_back_to_the_same_value(value in any::<f64>().prop_filter("finite", |x| x.is_finite())) {
            let text = ParamValue::Float(value).to_string();
            prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits());
            let json = serde_json::to_string(&ParamValue::Float(value)).unwrap();
            prop_assert_eq!(serde_json::from_str::<ParamValue>(&json).unwrap(), ParamValue::Float(value));
        }
    }
}
