//! Checks that wait for an execution: parameters and session values.

use crate::config::{Required, Scalar};
use crate::finding::{Check, SessionValues, Value};
use crate::rules::JsonRule;
use pooler_plugin::{Format, Parameter, Query, oid};

/// What became of a check.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed(Option<String>),
}

/// Parameters as far as they are there: a driver that prepares has none yet.
pub(crate) struct Execution<'a> {
    pub(crate) query: Query<'a>,
    pub(crate) prepare_only: bool,
    pub(crate) session: SessionValues<'a>,
}

impl Execution<'_> {
    pub(crate) fn run(&self, check: &Check, json: Option<&JsonRule>) -> Outcome {
        match (check, json) {
            (Check::Equals { required, alternatives }, _) => {
                let holds = alternatives.iter().any(|values| values.iter().all(|value| self.equals(value, required)));
                if holds { Outcome::Passed } else { Outcome::Failed(None) }
            }
            (Check::Json { parameter, cast_to_text }, Some(rule)) => self.json(*parameter, *cast_to_text, rule),
            (Check::Json { .. }, None) => Outcome::Failed(None),
        }
    }

    fn equals(&self, value: &Value, required: &Required) -> bool {
        let text = match required {
            Required::Any => return true,
            Required::Constant(Scalar::Integer(number)) => {
                return self.number(value) == Some(*number) || self.waits(value);
            }
            Required::Constant(Scalar::Text(text)) => text,
            Required::Session(which) => self.session.get(*which),
        };
        match value {
            Value::Integer(_) => false,
            Value::Text(found) => found == text,
            Value::Parameter(index) => {
                self.prepare_only || self.query.parameter(*index).is_some_and(|parameter| is_text(&parameter, text))
            }
        }
    }

    fn waits(&self, value: &Value) -> bool {
        self.prepare_only && matches!(value, Value::Parameter(_))
    }

    fn number(&self, value: &Value) -> Option<i64> {
        match value {
            Value::Integer(number) => Some(*number),
            Value::Text(text) => text.trim_ascii().parse().ok(),
            Value::Parameter(index) => number_of(&self.query.parameter(*index)?),
        }
    }

    fn json(&self, index: usize, cast_to_text: bool, rule: &JsonRule) -> Outcome {
        let Some(parameter) = self.query.parameter(index) else {
            return if self.prepare_only {
                Outcome::Passed
            } else {
                Outcome::Failed(Some(format!("Parameter ${} has no value.", index + 1)))
            };
        };
        let Some(bytes) = parameter.as_bytes() else {
            return if rule.allows_null() { Outcome::Passed } else { Outcome::Failed(Some("It is NULL.".to_owned())) };
        };
        let json = match (parameter.format(), parameter.type_oid()) {
            (_, other) if !matches!(other, 0 | oid::JSON | oid::JSONB | oid::TEXT | oid::VARCHAR | oid::UNKNOWN) => {
                return Outcome::Failed(Some(format!("Parameter ${} is of another type.", index + 1)));
            }
            (Format::Text, _) => bytes,
            (Format::Binary, oid::JSON | oid::TEXT | oid::VARCHAR | oid::UNKNOWN) => bytes,
            (Format::Binary, 0) if cast_to_text => bytes,
            // Version 1, the only one there is. Without a type it is json or jsonb, and JSON does not begin with this byte.
            (Format::Binary, _) => bytes.strip_prefix(&[1]).unwrap_or(bytes),
        };
        match rule.validate(json) {
            Ok(()) => Outcome::Passed,
            Err(reason) => Outcome::Failed(Some(reason)),
        }
    }
}

fn is_text(parameter: &Parameter<'_>, text: &str) -> bool {
    match (parameter.format(), parameter.type_oid()) {
        (Format::Text, _) => parameter.as_bytes() == Some(text.as_bytes()),
        (Format::Binary, 0 | oid::TEXT | oid::VARCHAR | oid::UNKNOWN) => parameter.as_bytes() == Some(text.as_bytes()),
        (Format::Binary, oid::UUID) => parameter.as_bytes().is_some_and(|bytes| uuid(text).as_deref() == Some(bytes)),
        (Format::Binary, _) => false,
    }
}

fn number_of(parameter: &Parameter<'_>) -> Option<i64> {
    let bytes = parameter.as_bytes()?;
    match (parameter.format(), parameter.type_oid()) {
        (Format::Text, _) => std::str::from_utf8(bytes).ok()?.trim_ascii().parse().ok(),
        (Format::Binary, 0 | oid::INT2 | oid::INT4 | oid::INT8) => match *bytes {
            [a, b] => Some(i16::from_be_bytes([a, b]).into()),
            [a, b, c, d] => Some(i32::from_be_bytes([a, b, c, d]).into()),
            [a, b, c, d, e, f, g, h] => Some(i64::from_be_bytes([a, b, c, d, e, f, g, h])),
            _ => None,
        },
        (Format::Binary, _) => None,
    }
}

/// The bytes of a UUID in its usual form.
fn uuid(text: &str) -> Option<Vec<u8>> {
    let digits: String = text.chars().filter(|&c| c != '-').collect();
    if digits.len() != 32 || !digits.is_ascii() {
        return None;
    }
    (0..16).map(|index| u8::from_str_radix(&digits[index * 2..index * 2 + 2], 16).ok()).collect()
}
