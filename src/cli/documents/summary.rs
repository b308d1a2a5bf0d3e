//! What a document says, for people: words at the left, what they say at the right.

use std::fmt::Display;

use serde_json::Value;

use super::{
    horizon::said,
    noun::{Noun, text_of},
};
use crate::{
    cli::output::plain_line,
    document::{Constraint, Properties, SecretBinding, UserInputValue, VersionChoice},
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
    sheet.line("changed", text_of(row, "/lastUpdated"));
    sheet.to_string()
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
    let mut text = choice.version.to_string();
    let priority = &choice.priority;
    if priority.priority_value > 0 {
        text += &format!(
            ", priority {}: {} retries in {} s",
            priority.priority_value, priority.retries, priority.retry_durations
        );
    }
    if priority.verified_durations > 0 {
        text += &format!(", kept after {} s", priority.verified_durations);
    }
    if !choice.upgrade_policy.lifecycle.is_empty() {
        text += &format!(", upgraded: {}", choice.upgrade_policy.lifecycle);
    }
    if !choice.upgrade_policy.time.is_empty() {
        text += &format!(" at {}", choice.upgrade_policy.time);
    }
    if !choice.deployment_overrides.is_null() && choice.deployment_overrides != "" {
        text += ", with overrides";
    }
    text
}
