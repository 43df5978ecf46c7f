//! The small types of the study file whose form serde cannot guess: maps that keep their order, numbers that stay whole, values
//! of parameters, and keys that take one thing or several.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer, StrDeserializer};
use serde::de::{Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::raw::{
    RawConstraint, RawMeasured, RawObjective, RawObjectives, RawStrategy, RawStrategyName, RawValues,
};
use crate::document::whole;
use crate::params::ParamValue;

/// A map in the order in which it was written. Each key once.
#[derive(Clone, Debug, PartialEq)]
pub struct Ordered<V>(Vec<(String, V)>);

impl<V> Ordered<V> {
    /// Keys and values in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &V)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The value of `key`.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&V> {
        self.0
            .iter()
            .find(|(known, _)| known == key)
            .map(|(_, value)| value)
    }

    /// Makes a map.
    ///
    /// # Errors
    /// The first key that is given twice.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, V)>) -> Result<Self, String> {
        let pairs: Vec<_> = pairs.into_iter().collect();
        let mut seen = std::collections::HashSet::new();
        match pairs.iter().find(|(key, _)| !seen.insert(key.as_str())) {
            Some((key, _)) => Err(key.clone()),
            None => Ok(Self(pairs)),
        }
    }
}

impl<V> Default for Ordered<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<V: Serialize> Serialize for Ordered<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Ordered<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Pairs<V> {
            type Value = Ordered<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered<V>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ordered::from_pairs(pairs)
                    .map_err(|key| A::Error::custom(format!("the key {key:?} is given twice")))
            }
        }
        deserializer.deserialize_map(Pairs(PhantomData))
    }
}

impl<V: JsonSchema> JsonSchema for Ordered<V> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("MapOf{}", V::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object", "additionalProperties": generator.subschema_for::<V>()})
    }
}

/// A number that is kept whole if it was written so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RawNumber {
    /// A whole number.
    Int(i64),
    /// Any other, as well as whole numbers that no integer of 64 bits holds.
    Float(f64),
}

impl RawNumber {
    /// The nearest double.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "bounds of integer parameters are checked before they are used as floats"
    )]
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Int(number) => number as f64,
            Self::Float(number) => number,
        }
    }
}

impl From<f64> for RawNumber {
    fn from(number: f64) -> Self {
        whole(number).map_or(Self::Float(number), Self::Int)
    }
}

impl fmt::Display for RawNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(number) => number.fmt(f),
            Self::Float(number) => ParamValue::Float(*number).fmt(f),
        }
    }
}

impl Serialize for RawNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Int(number) => serializer.serialize_i64(*number),
            Self::Float(number) => serializer.serialize_f64(*number),
        }
    }
}

impl<'de> Deserialize<'de> for RawNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = RawNumber;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<RawNumber, E> {
                Ok(RawNumber::Int(number))
            }

            #[expect(
                clippy::cast_precision_loss,
                reason = "beyond 64 bits with a sign, refused wherever whole numbers are wanted"
            )]
            fn visit_u64<E: Error>(self, number: u64) -> Result<RawNumber, E> {
                Ok(i64::try_from(number).map_or(RawNumber::Float(number as f64), RawNumber::Int))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<RawNumber, E> {
                Ok(RawNumber::from(number))
            }
        }
        deserializer.deserialize_any(Number)
    }
}

impl JsonSchema for RawNumber {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Number".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "number"})
    }
}

/// A value of a parameter: a number, a text, true or false.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct RawValue(pub ParamValue);

impl<'de> Deserialize<'de> for RawValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;
        impl Visitor<'_> for Value {
            type Value = RawValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, a text, true or false")
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<RawValue, E> {
                Ok(RawValue(ParamValue::Bool(value)))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<RawValue, E> {
                Ok(RawValue(ParamValue::Int(value)))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<RawValue, E> {
                let value = i64::try_from(value)
                    .map_err(|_| E::custom(format!("{value} does not fit 64 bits with a sign")))?;
                self.visit_i64(value)
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<RawValue, E> {
                if !value.is_finite() {
                    return Err(E::custom(format!(
                        "must be finite, got {value}; put it in quotes if it is a text"
                    )));
                }
                Ok(RawValue(ParamValue::Float(value)))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<RawValue, E> {
                Ok(RawValue(ParamValue::Text(value.to_owned())))
            }
        }
        deserializer.deserialize_any(Value)
    }
}

impl JsonSchema for RawValue {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Value".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["number", "string", "boolean"]})
    }
}

impl<'de> Deserialize<'de> for RawValues {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        either(deserializer, "a value or a list of values").map(Self)
    }
}

impl JsonSchema for RawValues {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Values".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<RawValue>();
        json_schema!({"anyOf": [value, {"type": "array", "items": value, "minItems": 1}]})
    }
}

/// A list of `T`, or one `T` that is a scalar.
fn either<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
    expecting: &'static str,
) -> Result<Vec<T>, D::Error> {
    struct Either<T>(&'static str, PhantomData<T>);

    impl<T> Either<T> {
        fn one<'de, E: Error>(scalar: impl IntoDeserializer<'de, E>) -> Result<Vec<T>, E>
        where
            T: Deserialize<'de>,
        {
            T::deserialize(scalar.into_deserializer()).map(|value| vec![value])
        }
    }

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Vec<T>, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(list))
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Vec<T>, E> {
            Self::one(text.to_owned())
        }

        fn visit_bool<E: Error>(self, value: bool) -> Result<Vec<T>, E> {
            Self::one(value)
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<Vec<T>, E> {
            Self::one(number)
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<Vec<T>, E> {
            Self::one(number)
        }

        fn visit_f64<E: Error>(self, number: f64) -> Result<Vec<T>, E> {
            Self::one(number)
        }
    }
    deserializer.deserialize_any(Either(expecting, PhantomData))
}

/// Reads one text or several.
pub(super) fn one_or_many<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<String>>, D::Error> {
    either(deserializer, "a text or a list of texts").map(Some)
}

/// Reads one name or several.
pub(super) fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    either(deserializer, "a name or a list of names")
}

/// Reads a list, with words of its own for what was expected.
struct ListOf<T>(&'static str, PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListOf<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Vec<T>, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list))
    }
}

/// Reads a command.
pub(super) fn command<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let expecting =
        "a list of the program and its arguments, such as [\"python\", \"train.py\", \"--lr={lr}\"]";
    deserializer.deserialize_seq(ListOf(expecting, PhantomData))
}

/// Reads constraints.
pub(super) fn constraints<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<RawConstraint>, D::Error> {
    let expecting =
        "a list of constraints, such as [\"batch * width <= 16384\", {metric: mem_gb, at_most: 16}]";
    deserializer.deserialize_seq(ListOf(expecting, PhantomData))
}

impl<'de> Deserialize<'de> for RawConstraint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrMap;
        impl<'de> Visitor<'de> for TextOrMap {
            type Value = RawConstraint;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "an expression over parameters in quotes, such as \"batch * width <= 16384\", or a bound of a metric, such as \
                     {metric: mem_gb, at_most: 16}",
                )
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<RawConstraint, E> {
                Ok(RawConstraint::Expression(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawConstraint, A::Error> {
                RawMeasured::deserialize(MapAccessDeserializer::new(map)).map(RawConstraint::Measured)
            }
        }
        deserializer.deserialize_any(TextOrMap)
    }
}

impl JsonSchema for RawConstraint {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Constraint".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let measured = generator.subschema_for::<RawMeasured>();
        json_schema!({"anyOf": [{"type": "string"}, measured]})
    }
}

impl Serialize for RawObjectives {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.more.is_empty() {
            self.first.serialize(serializer)
        } else {
            serializer.collect_seq(self.iter())
        }
    }
}

impl<'de> Deserialize<'de> for RawObjectives {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = RawObjectives;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "an objective, such as {metric: val_acc, goal: maximize}, or a list of objectives",
                )
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawObjectives, A::Error> {
                RawObjective::deserialize(MapAccessDeserializer::new(map)).map(RawObjectives::from)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<RawObjectives, A::Error> {
                let mut all = Vec::deserialize(SeqAccessDeserializer::new(list))?.into_iter();
                let Some(first) = all.next() else {
                    return Err(A::Error::custom(
                        "the list is empty; give at least one objective, such as {metric: val_acc, goal: maximize}",
                    ));
                };
                let more = all.collect();
                Ok(RawObjectives { first, more })
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

impl JsonSchema for RawObjectives {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Objectives".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<RawObjective>();
        json_schema!({"anyOf": [one, {"type": "array", "items": one, "minItems": 1, "maxItems": 8}]})
    }
}

/// Reads a strategy, or the name of one.
pub(super) fn strategy<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RawStrategy, D::Error> {
    struct NameOrMap;
    impl<'de> Visitor<'de> for NameOrMap {
        type Value = RawStrategy;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a strategy, such as random or {name: grid, points: 5}")
        }

        fn visit_str<E: Error>(self, name: &str) -> Result<RawStrategy, E> {
            let name: StrDeserializer<'_, E> = name.into_deserializer();
            Ok(RawStrategy {
                name: RawStrategyName::deserialize(name)?,
                ..RawStrategy::default()
            })
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawStrategy, A::Error> {
            RawStrategy::deserialize(MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_any(NameOrMap)
}
