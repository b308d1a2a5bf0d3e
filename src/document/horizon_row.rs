//! Rows of an exchange, without what the exchange adds to them by itself.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// What the exchange says about every row, and what `show` and `list` add.
const ABOUT_ROWS: [&str; 4] = ["owner", "lastUpdated", "created", "signed"];

/// What the author of a row said, if it can be read.
///
/// # Errors
/// It has another form.
pub fn said<T: DeserializeOwned>(row: &Value) -> Result<T, serde_json::Error> {
    serde_json::from_value(authored(row))
}

/// The row without what the exchange says about every row.
pub fn authored(row: &Value) -> Value {
    let mut row = row.clone();
    if let Some(members) = row.as_object_mut() {
        members.retain(|name, _| !ABOUT_ROWS.contains(&name.as_str()));
    }
    row
}

/// Leaves out of both what the exchange fills in where `file` says nothing.
pub fn without_defaults(mut live: Value, mut file: Value) -> (Value, Value) {
    if let (Some(live), Some(file)) = (live.as_object_mut(), file.as_object_mut()) {
        let basic = json!([{"name": "Basic"}]);
        if says_nothing(file, "agreementProtocols")
            && live.get("agreementProtocols") == Some(&basic)
        {
            live.remove("agreementProtocols");
        }
        if says_nothing(file, "description") && live.get("description") == live.get("label") {
            live.insert("description".to_owned(), Value::from(""));
        }
    }
    forget(&mut live, &mut file);
    (live, file)
}

fn says_nothing(members: &Map<String, Value>, name: &str) -> bool {
    members.get(name).is_none_or(is_empty)
}

/// What a program in Go sends for what was never said.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(it) => !it,
        Value::Number(it) => it.as_f64() == Some(0.0),
        Value::String(it) => it.is_empty(),
        Value::Array(it) => it.is_empty(),
        Value::Object(it) => it.values().all(is_empty),
    }
}

/// Leaves out members that say nothing in both, and the hours of `nodeHealth`, which the exchange
/// sets where the file does not.
fn forget(live: &mut Value, file: &mut Value) {
    match (live, file) {
        (Value::Object(live), Value::Object(file)) => {
            let nothing = |it: Option<&Value>| it.is_none_or(is_empty);
            let said_by_either = |name: &str, live: &Map<_, _>, file: &Map<_, _>| {
                !nothing(file.get(name)) || (name != "nodeHealth" && !nothing(live.get(name)))
            };
            let both = (live.clone(), file.clone());
            live.retain(|name, _| said_by_either(name, &both.0, &both.1));
            file.retain(|name, _| said_by_either(name, &both.0, &both.1));
            for (name, live) in live.iter_mut() {
                if let Some(file) = file.get_mut(name) {
                    forget(live, file);
                }
            }
        }
        (Value::Array(live), Value::Array(file)) => {
            for (live, file) in live.iter_mut().zip(file) {
                forget(live, file);
            }
        }
        _ => (),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_exchange_fills_in_is_no_difference() {
        let row = json!({
            "owner": "acme/ann", "lastUpdated": "2026-11-21T00:00:00Z", "label": "P", "description": "P",
            "public": false, "services": [{"serviceUrl": "s", "nodeHealth":
                {"missing_heartbeat_interval": 1800, "check_agreement_status": 1800}}],
            "agreementProtocols": [{"name": "Basic"}], "userInput": [], "clusterNamespace": "",
        });
        let file = json!({
            "label": "P", "description": "", "services": [{"serviceUrl": "s", "dataVerification": {}}],
        });
        let (live, file) = without_defaults(authored(&row), file);
        assert_eq!(live, file);
    }

    #[test]
    fn what_the_file_says_is_compared_with_what_is_there() {
        let row = json!({"label": "P", "description": "P", "agreementProtocols": [{"name": "Basic"}],
            "nodeHealth": {"check_agreement_status": 600}, "public": true});
        let file = json!({"label": "P", "description": "Q", "agreementProtocols": [{"name": "Other"}],
            "nodeHealth": {"check_agreement_status": 60}, "public": false});
        let (live, left) = without_defaults(row.clone(), file.clone());
        assert_eq!((live, left), (row, file));
    }
}
