//! The JSON Schema of the study file, for editors. It follows the types of the raw study; what is here is what they cannot say.

use schemars::transform::{RecursiveTransform, Transform};
use schemars::{Schema, SchemaGenerator, json_schema, schema_for};
use serde_json::Value;

use super::raw::{RawStrategy, RawStrategyName, RawStudy};

/// The JSON Schema of the study file, as published in `docs/study.schema.json`.
#[must_use]
pub fn study_schema() -> Value {
    let mut schema = schema_for!(RawStudy);
    // Doc comments are wrapped to the width of the source.
    RecursiveTransform(|schema: &mut Schema| {
        if let Some(Value::String(description)) = schema.get_mut("description") {
            *description = description.replace('\n', " ");
        }
    })
    .transform(&mut schema);
    schema.into()
}

/// A text; in YAML a number or a boolean without quotes will do.
fn text() -> Value {
    serde_json::json!({"type": ["string", "number", "boolean"]})
}

pub(super) fn texts(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": text(), "minItems": 1})
}

pub(super) fn texts_by_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "additionalProperties": text()})
}

pub(super) fn one_or_many(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]})
}

pub(super) fn strategy(generator: &mut SchemaGenerator) -> Schema {
    let name = generator.subschema_for::<RawStrategyName>();
    let map = generator.subschema_for::<RawStrategy>();
    json_schema!({"anyOf": [name, map]})
}
