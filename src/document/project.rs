//! The project file `hzn.json`: settings and variables for the documents beside it.

use serde_json::Value;

use crate::document::{
    problem::{Problem, Problems, Severity},
    source::{Source, Variables},
};

/// Reads the content of a `hzn.json`: its `HZN_*` names and `HORIZON_URL`, and the free variables
/// of its `MetadataVars`, all in one. A `MetadataVars` name wins over the same name outside.
///
/// The file is no document: `$` means nothing in it.
pub fn variables(name: &str, text: &str) -> Result<Variables, Problems> {
    let source = Source::read_as_it_is(name, text)?;
    let refuse = |what: &str, path: &str| {
        let (line, column) = source.place_of(path, 0).unwrap_or((1, 1));
        let problem = Problem {
            severity: Severity::Error,
            line,
            column,
            path: path.to_owned(),
            what: what.to_owned(),
            help:
                "a project file is {\"HZN_ORG_ID\": \"…\", \"MetadataVars\": {\"NAME\": \"value\"}}"
                    .to_owned(),
        };
        Problems { file: name.to_owned(), all: vec![problem] }
    };
    let Value::Object(fields) = source.to_value() else {
        return Err(refuse("expected an object", ""));
    };
    let mut variables = Variables::new();
    let mut free = None;
    for (name, value) in fields {
        match value {
            Value::Object(inner) if name == "MetadataVars" => free = Some(inner),
            Value::Null => (),
            value => {
                let text = plain(&value).ok_or_else(|| refuse("expected a text", &name))?;
                variables.set(name, text);
            }
        }
    }
    for (name, value) in free.into_iter().flatten() {
        let path = format!("MetadataVars.{name}");
        let text = plain(&value).ok_or_else(|| refuse("expected a text or a number", &path))?;
        variables.set(name, text);
    }
    Ok(variables)
}

/// The text of a value that has no parts.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_free_variables_are_one() {
        let text = r#"{"HZN_ORG_ID":"IBM","MetadataVars":{"A":"b","N":5,"HZN_ORG_ID":"acme"}}"#;
        let variables = variables("hzn.json", text).unwrap();
        let pairs: Vec<_> = variables.iter().collect();
        assert_eq!(pairs, [("A", "b"), ("HZN_ORG_ID", "acme"), ("N", "5")]);
        let wrong = super::variables("hzn.json", "{\"MetadataVars\":\n {\"A\": []}}").unwrap_err();
        assert_eq!((wrong.all[0].line, wrong.all[0].column), (2, 8));
        assert!(super::variables("hzn.json", "[]").is_err());
    }
}
