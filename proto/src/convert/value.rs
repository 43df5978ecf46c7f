//! Parameter values as `google.protobuf.Value`, which knows one kind of number: whole numbers are told apart again by the search
//! space ([`tunesmith_common::space::Space`]) or by a flag that travels beside the value.

use pbjson_types::value::Kind;
use pbjson_types::{Struct, Value};
use tunesmith_common::params::ParameterName;
use tunesmith_common::{ParamValue, Params};

use super::{ConvertError, parse};
use crate::v1;

/// Whole numbers beyond this do not survive as a double.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A value on the wire.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "domain values lie within ±2^53")]
pub fn to_wire(value: &ParamValue) -> Value {
    let kind = match value {
        ParamValue::Bool(value) => Kind::BoolValue(*value),
        ParamValue::Int(value) => Kind::NumberValue(*value as f64),
        ParamValue::Float(value) => Kind::NumberValue(*value),
        ParamValue::Text(value) => Kind::StringValue(value.clone()),
    };
    Value { kind: Some(kind) }
}

/// A value from the wire: whole numbers become integers.
///
/// # Errors
/// If it is not a boolean, a finite number or a text.
pub fn from_wire(value: &Value, field: &str) -> Result<ParamValue, ConvertError> {
    match &value.kind {
        Some(Kind::BoolValue(value)) => Ok(ParamValue::Bool(*value)),
        Some(Kind::StringValue(value)) => Ok(ParamValue::Text(value.clone())),
        Some(Kind::NumberValue(value)) => number(*value, field),
        Some(Kind::NullValue(_)) | None => Err(ConvertError::new(
            field,
            "is null; give a number, a text or a boolean",
        )),
        Some(Kind::ListValue(_)) => Err(ConvertError::new(
            field,
            "is a list; give a number, a text or a boolean",
        )),
        Some(Kind::StructValue(_)) => Err(ConvertError::new(
            field,
            "is an object; give a number, a text or a boolean",
        )),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "checked to be whole and within ±2^53"
)]
fn number(value: f64, field: &str) -> Result<ParamValue, ConvertError> {
    if !value.is_finite() {
        return Err(ConvertError::new(field, format!("must be finite, got {value}")));
    }
    if value.fract() == 0.0 && value.abs() <= EXACT && !(value == 0.0 && value.is_sign_negative()) {
        return Ok(ParamValue::Int(value as i64));
    }
    Ok(ParamValue::Float(value))
}

/// Parameters on the wire.
#[must_use]
pub fn params_to_wire(params: &Params) -> Struct {
    Struct {
        fields: params
            .iter()
            .map(|(name, value)| (name.to_string(), to_wire(value)))
            .collect(),
    }
}

/// Parameters from the wire, sorted by name. The search space puts them in order and tells whole numbers from others.
///
/// # Errors
/// If a name or a value is malformed.
pub fn params_from_wire(params: &Struct, field: &str) -> Result<Params, ConvertError> {
    let mut pairs = params
        .fields
        .iter()
        .map(|(name, value)| {
            let path = format!("{field}.{name}");
            Ok((parse::<ParameterName>(name, field)?, from_wire(value, &path)?))
        })
        .collect::<Result<Vec<_>, ConvertError>>()?;
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(pairs.into_iter().collect())
}

/// Parameters on the wire, in order and with their types.
#[must_use]
pub fn typed_params_to_wire(params: &Params) -> Vec<v1::ParameterValue> {
    params
        .iter()
        .map(|(name, value)| v1::ParameterValue {
            name: name.to_string(),
            value: Some(to_wire(value)),
            is_int: matches!(value, ParamValue::Int(_)),
        })
        .collect()
}

/// Parameters from the wire, in order and with their types.
///
/// # Errors
/// If a name or a value is malformed.
pub fn typed_params_from_wire(params: &[v1::ParameterValue], field: &str) -> Result<Params, ConvertError> {
    params
        .iter()
        .enumerate()
        .map(|(index, parameter)| {
            let path = format!("{field}[{index}]");
            let value = parameter
                .value
                .as_ref()
                .ok_or_else(|| ConvertError::new(&path, "has no value"))?;
            let value = match from_wire(value, &path)? {
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "from_wire makes integers within ±2^53 only"
                )]
                ParamValue::Int(value) if !parameter.is_int => ParamValue::Float(value as f64),
                value => value,
            };
            Ok((parse::<ParameterName>(&parameter.name, &path)?, value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_parameters_survive_the_wire_in_order_and_kind() {
        let params: Params = [
            ("width", ParamValue::Int(32)),
            ("lr", ParamValue::Float(1e-5)),
            ("momentum", ParamValue::Float(1.0)),
            ("optimizer", ParamValue::Text("sgd".to_owned())),
            ("bias", ParamValue::Bool(true)),
        ]
        .into_iter()
        .map(|(name, value)| (name.parse().unwrap(), value))
        .collect();
        assert_eq!(
            typed_params_from_wire(&typed_params_to_wire(&params), "parameters").unwrap(),
            params
        );
    }

    #[test]
    fn values_that_are_no_parameter_are_refused_by_name() {
        let mut fields = std::collections::HashMap::new();
        fields.insert(
            "lr".to_owned(),
            Value {
                kind: Some(Kind::NumberValue(f64::NAN)),
            },
        );
        let error = params_from_wire(&Struct { fields }, "parameters").unwrap_err();
        assert_eq!(error.to_string(), "parameters.lr: must be finite, got NaN");
    }
}
