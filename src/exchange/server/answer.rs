//! Answers that many paths share.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::ApiError;
use crate::exchange::api::{Attribute, Reply};

/// 201: it is made or written.
pub(super) fn written(msg: impl Into<String>) -> (StatusCode, Json<Reply>) {
    (StatusCode::CREATED, Json(Reply::ok(msg)))
}

/// 200 with what there is, or 404 with the same container, empty. Horizon's clients read both.
pub(super) fn listed(is_empty: bool, container: impl Serialize) -> Response {
    let status = if is_empty { StatusCode::NOT_FOUND } else { StatusCode::OK };
    (status, Json(container)).into_response()
}

/// One attribute of `thing`.
pub(super) fn attribute(thing: &impl Serialize, name: &str) -> Result<Json<Attribute>, ApiError> {
    let thing = serde_json::to_value(thing).map_err(ApiError::internal)?;
    let value = match thing.get(name) {
        None => return Err(ApiError::InvalidInput(format!("there is no attribute '{name}'"))),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    Ok(Json(Attribute { attribute: name.to_owned(), value }))
}

/// The body of a `PATCH`: attributes and their new values, in the order they came in.
pub(super) type Patch = Map<String, Value>;

/// `thing` with the first attribute of `patch`, as Horizon has it; all of them must be known.
pub(super) fn patched<T>(thing: &T, patch: Patch) -> Result<T, ApiError>
where
    T: Serialize + DeserializeOwned,
{
    let mut given = patch.into_iter().filter(|(_, value)| !value.is_null());
    let (name, value) = given.next().ok_or_else(no_attribute)?;
    for (other, _) in given {
        let known = serde_json::to_value(thing).map_err(ApiError::internal)?;
        if known.get(&other).is_none() {
            return Err(ApiError::InvalidInput(format!("there is no attribute '{other}'")));
        }
    }
    let Value::Object(mut fields) = serde_json::to_value(thing).map_err(ApiError::internal)? else {
        return Err(ApiError::internal("what is kept is no object"));
    };
    fields.insert(name.clone(), value);
    serde_json::from_value(Value::Object(fields))
        .map_err(|error| ApiError::InvalidInput(format!("attribute '{name}': {error}")))
}

/// There is nothing in a `PATCH` that could be changed.
pub(super) fn no_attribute() -> ApiError {
    ApiError::InvalidInput("the body names no attribute to change".to_owned())
}

/// Whether `text` fits a filter of a list: `%` stands for any characters.
pub(super) fn fits(filter: Option<&str>, text: &str) -> bool {
    let Some(filter) = filter else { return true };
    let mut parts = filter.split('%');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percent_sign_stands_for_anything() {
        for (filter, text, expected) in [
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("ab%", "abcd", true),
            ("%cd", "abcd", true),
            ("%c", "abcd", false),
            ("a%c%", "abcd", true),
            ("%", "", true),
            ("a%a", "a", false),
        ] {
            assert_eq!(fits(Some(filter), text), expected, "{filter} {text}");
        }
    }
}
