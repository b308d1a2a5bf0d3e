//! What a document says, for people: words at the left, what they say at the right.

use std::fmt::Display;

use serde_json::Value;

use super::noun::{Noun, text_of};
use crate::{
    cli::output::plain_line,
    document::{
        Constraint, Properties, SecretBinding, UserInputValue, VersionChoice, horizon_row::said,
    },
};

/// Lines of words and what they say.
#[derive(Debug, Default)]
pub(in crate::cli) struct Sheet(Vec<(String, Vec<String>)>);

impl Sheet {
    /// A word and what it says; nothing where nothing is said.
    pub(in crate::cli) fn line(&mut self, word: &str, text: impl Display) {
        self.lines(word, [text.to_string()]);
    }

    /// A word and what it says, one a line.
    pub(in crate::cli) fn lines(&mut self, word: &str, texts: impl IntoIterator<Item = String>) {
        let texts: Vec<_> = texts.into_iter().filter(|it| !it.is_empty()).collect();
        if !texts.is_empty() {
            self.0.push((word.to_owned(), texts));
        }
    }

    /// The versions that a pattern or policy offers.
    pub(in crate::cli) fn versions(&mut self, versions: &[VersionChoice]) {
        self.lines("  version", versions.iter().map(version));
    }

    /// What somebody says of itself, and asks of others.
    pub(in crate::cli) fn terms(
        &mut self,
        part: &str,
        properties: &Properties,
        constraints: &[Constraint],
    ) {
        let told = properties.iter().map(|it| {
            let declared = it.declared.as_str();
            let kind = if declared.is_empty() { String::new() } else { format!(" ({declared})") };
            // Every value of a property is JSON, so that this cannot fail.
            let value = serde_json::to_value(&it.value).unwrap_or_default();
            format!("{} = {}{kind}", it.name, plain_value(&value))
        });
        self.lines(&format!("{part}properties"), told);
        self.lines(
            &format!("{part}constraints"),
            constraints.iter().map(|it| it.as_str().to_owned()),
        );
    }

    /// The values and the secrets that a pattern or policy gives.
    pub(in crate::cli) fn gifts(&mut self, inputs: &[UserInputValue], secrets: &[SecretBinding]) {
        for given in inputs {
            self.line("input for", service(&given.service_orgid, &given.service_url));
            self.lines(
                "  value",
                given.inputs.iter().map(|it| format!("{} = {}", it.name, plain_value(&it.value))),
            );
        }
        for bound in secrets {
            self.line("secrets for", service(&bound.service_orgid, &bound.service_url));
            let pairs = bound.secrets.iter().flatten();
            self.lines("  secret", pairs.map(|(name, kept)| format!("{name} is {kept}")));
        }
    }
}

impl Display for Sheet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let width = self.0.iter().map(|(word, _)| word.chars().count()).max().unwrap_or_default();
        for (word, texts) in &self.0 {
            let mut word = word.as_str();
            for text in texts {
                writeln!(f, "{word:<width$}  {}", plain_line(text))?;
                word = "";
            }
        }
        Ok(())
    }
}

/// What a row of the exchange says. One that cannot be read is shown as it is.
pub(super) fn of_row<N: Noun>(noun: &N, row: &Value) -> String {
    let mut sheet = Sheet::default();
    let Ok(said) = said::<N::Written>(row) else {
        return serde_json::to_string_pretty(row).unwrap_or_default();
    };
    sheet.line(N::WORD, noun.name());
    noun.summary(&said, &mut sheet);
    sheet.line("owner", text_of(row, "/owner"));
    sheet.line("signed", signed(row));
    sheet.line("changed", text_of(row, "/lastUpdated"));
    sheet.to_string()
}

/// Whether a document signs the row; empty where the exchange has no place for one.
fn signed(row: &Value) -> String {
    match (row.pointer("/signed/seq"), row.get("signed")) {
        (Some(seq), _) => format!("yes, seq {seq}"),
        (None, Some(_)) => "no: Edgepost nodes do not go by it".to_owned(),
        (None, None) => String::new(),
    }
}

/// A service by its full name.
pub(in crate::cli) fn service(org: &impl Display, url: &impl Display) -> String {
    format!("{org}/{url}")
}

/// A text as it is, anything else as JSON.
fn plain_value(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), |it| format!("\"{it}\""))
}

/// A version, and when its turn is.
fn version(choice: &VersionChoice) -> String {
    let (priority, upgrade) = (&choice.priority, &choice.upgrade_policy);
    let told = |is_said: bool, text: String| if is_said { text } else { String::new() };
    let has_overrides = !choice.deployment_overrides.is_null() && choice.deployment_overrides != "";
    let turn = format!(
        ", priority {}: {} retries in {} s",
        priority.priority_value, priority.retries, priority.retry_durations
    );
    [
        choice.version.to_string(),
        told(priority.priority_value > 0, turn),
        told(
            priority.verified_durations > 0,
            format!(", kept after {} s", priority.verified_durations),
        ),
        told(!upgrade.lifecycle.is_empty(), format!(", upgraded: {}", upgrade.lifecycle)),
        told(!upgrade.time.is_empty(), format!(" at {}", upgrade.time)),
        told(has_overrides, ", with overrides".to_owned()),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_sheet_is_aligned_and_leaves_out_what_says_nothing() {
        let properties =
            json!([{"name": "a", "value": "x"}, {"name": "b", "value": 2, "type": "int"}]);
        let constraints = json!(["c == d", "e == f"]);
        let mut sheet = Sheet::default();
        sheet.line("label", "L\n\u{1b}[2J");
        sheet.line("description", "");
        sheet.terms(
            "",
            &serde_json::from_value(properties).unwrap(),
            &serde_json::from_value::<Vec<Constraint>>(constraints).unwrap(),
        );
        let expected = "label        L\\n\\u{1b}[2J\n\
                        properties   a = \"x\"\n             b = 2 (int)\n\
                        constraints  c == d\n             e == f\n";
        assert_eq!(sheet.to_string(), expected);
    }

    #[test]
    fn a_version_tells_when_its_turn_is() {
        let told = |value: Value| version(&serde_json::from_value(value).unwrap());
        assert_eq!(told(json!({"version": "1.0.0"})), "1.0.0");
        let choice = json!({
            "version": "2.0.0", "upgradePolicy": {"lifecycle": "immediate", "time": "01:00AM"},
            "priority": {"priority_value": 1, "retries": 3, "retry_durations": 600, "verified_durations": 60},
            "deployment_overrides": {"services": {"a": {"environment": ["A=b"]}}},
        });
        let expected = "2.0.0, priority 1: 3 retries in 600 s, kept after 60 s, \
                        upgraded: immediate at 01:00AM, with overrides";
        assert_eq!(told(choice), expected);
    }
}
