//! What the API is told of a statement. Knows nothing of HTTP.

use pooler_plugin::{Decode, Input, Parameter, Query, RawValue, Uuid, oid};
use serde_json::{Value, json};

/// The question as JSON; `Err` says why there is none.
pub(crate) fn json(input: &Input<'_>, query: &Query<'_>) -> Result<Vec<u8>, String> {
    // The same bytes are another text in another encoding: the API must not be shown what the server does not see.
    let is_utf8 = matches!(&*query.client_encoding(), "UTF8");
    let statement = match query.as_str() {
        Some(text) if is_utf8 || text.is_ascii() => text,
        _ => {
            return Err(
                "only statements in UTF-8 can be checked: set client_encoding to UTF8".to_owned(),
            );
        }
    };
    let params: Vec<Value> = query
        .parameters()
        .map(|parameter| shown(&parameter, is_utf8))
        .collect();
    let session = input.session();
    let question = json!({
        "user": session.user(),
        "database": session.database(),
        "statement": statement,
        "params": params,
    });
    serde_json::to_vec(&question).map_err(|error| error.to_string())
}

/// Null, a text, or bytes with their type.
fn shown(parameter: &Parameter<'_>, is_utf8: bool) -> Value {
    let Some(bytes) = parameter.as_bytes() else {
        return Value::Null;
    };
    let text = match parameter.as_str() {
        Some(text) => Some(text.to_owned()).filter(|text| is_utf8 || text.is_ascii()),
        None => binary(parameter.raw(), is_utf8),
    };
    text.map_or_else(
        || json!({ "type_oid": parameter.type_oid(), "hex": hex(bytes) }),
        Value::String,
    )
}

/// As PostgreSQL would write it, for the types that drivers send in binary format.
fn binary(raw: RawValue<'_>, is_utf8: bool) -> Option<String> {
    fn text<'a, T: Decode<'a> + ToString>(raw: RawValue<'a>) -> Option<String> {
        raw.decode::<T>().ok().map(|value| value.to_string())
    }
    match raw.type_oid {
        oid::INT2 | oid::INT4 | oid::INT8 => text::<i64>(raw),
        oid::BOOL => text::<bool>(raw),
        oid::UUID => text::<Uuid>(raw),
        oid::TEXT | oid::VARCHAR => text::<&str>(raw).filter(|text| is_utf8 || text.is_ascii()),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
