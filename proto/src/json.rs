//! ProtoJSON with stable output: the generated messages' own JSON form, with maps sorted by key, and with NaN and infinities as
//! the texts that ProtoJSON prescribes (plain JSON has none, and would turn them into null). Reading needs nothing special.

use std::fmt::Display;

use serde::ser::{
    Error as _, Impossible, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeTuple,
    SerializeTupleStruct, Serializer,
};
use serde_json::{Error, Map, Number, Value};

/// A message as a JSON value.
///
/// # Errors
/// If the message has an enum value that this build does not know, or bytes.
pub fn to_value<T: Serialize + ?Sized>(message: &T) -> Result<Value, Error> {
    message.serialize(ToValue)
}

struct ToValue;

macro_rules! scalars {
    ($($method:ident: $type:ty => $make:expr),* $(,)?) => {
        $(fn $method(self, value: $type) -> Result<Value, Error> {
            Ok(($make)(value))
        })*
    };
}

impl Serializer for ToValue {
    type Ok = Value;
    type Error = Error;
    type SerializeSeq = List;
    type SerializeTuple = List;
    type SerializeTupleStruct = List;
    type SerializeTupleVariant = Impossible<Value, Error>;
    type SerializeMap = Object;
    type SerializeStruct = Object;
    type SerializeStructVariant = Impossible<Value, Error>;

    scalars! {
        serialize_bool: bool => Value::Bool,
        serialize_i8: i8 => Value::from,
        serialize_i16: i16 => Value::from,
        serialize_i32: i32 => Value::from,
        serialize_i64: i64 => Value::from,
        serialize_u8: u8 => Value::from,
        serialize_u16: u16 => Value::from,
        serialize_u32: u32 => Value::from,
        serialize_u64: u64 => Value::from,
        serialize_f32: f32 => |value| number(f64::from(value)),
        serialize_f64: f64 => number,
        serialize_char: char => |value: char| Value::String(value.to_string()),
        serialize_str: &str => |value: &str| Value::String(value.to_owned()),
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<Value, Error> {
        Err(Error::custom("bytes have no JSON form"))
    }

    fn serialize_none(self) -> Result<Value, Error> {
        Ok(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Value, Error> {
        Ok(Value::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Value, Error> {
        Ok(Value::Null)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Value, Error> {
        Ok(Value::String(variant.to_owned()))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Value, Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Value, Error> {
        Ok(Value::Object(Map::from_iter([(
            variant.to_owned(),
            value.serialize(Self)?,
        )])))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<List, Error> {
        Ok(List(vec![]))
    }

    fn serialize_tuple(self, _: usize) -> Result<List, Error> {
        Ok(List(vec![]))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<List, Error> {
        Ok(List(vec![]))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        Err(Error::custom("enums with data have no ProtoJSON form"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Object, Error> {
        Ok(Object {
            fields: Map::new(),
            key: None,
            sorted: true,
        })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Object, Error> {
        Ok(Object {
            fields: Map::new(),
            key: None,
            sorted: false,
        })
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        Err(Error::custom("enums with data have no ProtoJSON form"))
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<Value, Error> {
        Ok(Value::String(value.to_string()))
    }
}

/// Whole numbers lose their fraction, as ProtoJSON writers do: 50.0 is `50`, which also is what a person wrote.
fn number(value: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.is_nan() {
        return Value::String("NaN".to_owned());
    }
    if value.is_infinite() {
        return Value::String(if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned());
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "checked to be whole and within ±2^53"
    )]
    if value.fract() == 0.0 && value.abs() <= EXACT && !(value == 0.0 && value.is_sign_negative()) {
        return Value::from(value as i64);
    }
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

struct List(Vec<Value>);

impl List {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.0.push(value.serialize(ToValue)?);
        Ok(())
    }
}

impl SerializeSeq for List {
    type Ok = Value;
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.push(value)
    }

    fn end(self) -> Result<Value, Error> {
        Ok(Value::Array(self.0))
    }
}

impl SerializeTuple for List {
    type Ok = Value;
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.push(value)
    }

    fn end(self) -> Result<Value, Error> {
        Ok(Value::Array(self.0))
    }
}

impl SerializeTupleStruct for List {
    type Ok = Value;
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.push(value)
    }

    fn end(self) -> Result<Value, Error> {
        Ok(Value::Array(self.0))
    }
}

struct Object {
    fields: Map<String, Value>,
    key: Option<String>,
    sorted: bool,
}

impl Object {
    fn finish(mut self) -> Value {
        if self.sorted {
            self.fields.sort_keys();
        }
        Value::Object(self.fields)
    }
}

impl SerializeMap for Object {
    type Ok = Value;
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.key = Some(match key.serialize(ToValue)? {
            Value::String(key) => key,
            other => other.to_string(),
        });
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let key = self
            .key
            .take()
            .ok_or_else(|| Error::custom("a map's value came before its key"))?;
        self.fields.insert(key, value.serialize(ToValue)?);
        Ok(())
    }

    fn end(self) -> Result<Value, Error> {
        Ok(self.finish())
    }
}

impl SerializeStruct for Object {
    type Ok = Value;
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Error> {
        self.fields.insert(key.to_owned(), value.serialize(ToValue)?);
        Ok(())
    }

    fn end(self) -> Result<Value, Error> {
        Ok(self.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1;

    #[test]
    fn numbers_that_json_lacks_survive_and_maps_are_sorted() {
        let trial = v1::Trial {
            name: "studies/digits/trials/3".to_owned(),
            number: 3,
            state: v1::TrialState::Completed.into(),
            value: Some(f64::NAN),
            metrics: [("loss", f64::INFINITY), ("acc", 0.5), ("epochs", 50.0)]
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
            ..Default::default()
        };
        let text = format!("{:#}\n", to_value(&trial).unwrap());
        assert_eq!(
            text,
            "{\n  \"name\": \"studies/digits/trials/3\",\n  \"number\": \"3\",\n  \"state\": \"TRIAL_STATE_COMPLETED\",\n  \
             \"value\": \"NaN\",\n  \"metrics\": {\n    \"acc\": 0.5,\n    \"epochs\": 50,\n    \"loss\": \"Infinity\"\n  }\n}\n"
        );
        let back: v1::Trial = serde_json::from_str(&text).unwrap();
        assert!(back.value.unwrap().is_nan());
        assert_eq!(back.metrics, trial.metrics);
    }
}
