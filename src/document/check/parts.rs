//! What several documents have in common: properties, constraints, versions, secrets.

use super::{Fields, Inspector, Need, Place};
use crate::{
    document::{
        choice::ArchChoice, constraint::Constraint, problem::Severity, property::Property,
        source::Content,
    },
    types::{OrgId, ServiceUrl, Version, VersionRange},
};

pub(super) const EXAMPLE_ORG: &str = "\"$HZN_ORG_ID\"";
pub(super) const EXAMPLE_URL: &str = "\"$SERVICE_NAME\"";
pub(super) const EXAMPLE_VERSION: &str = "\"1.0.0\"";

impl<'a> Inspector<'a> {
    /// `properties` and `constraints`, which stand side by side everywhere.
    pub(super) fn properties_and_constraints(&mut self, fields: &mut Fields<'a>) {
        let mut names = Vec::new();
        for place in self.items(fields, "properties") {
            self.property(&place);
            let property = serde_json::from_value::<Property>(place.node.to_value());
            if let Ok(Property { name, .. }) = property {
                if names.contains(&name) {
                    self.warn(&place, format!("`{name}` stands here again"), "the first counts");
                }
                names.push(name);
            }
        }
        for (place, text) in self.texts(fields, "constraints") {
            match Constraint::parse(text) {
                Ok(constraint) => {
                    for trap in constraint.traps() {
                        self.warn(&place, trap, "");
                    }
                }
                Err(error) => self.error(&place, error.to_string(), error.help),
            }
        }
    }

    fn property(&mut self, place: &Place<'a>) {
        let before = self.found.len();
        self.object(place, |it, fields| {
            it.text(fields, "name", Need::Required("\"purpose\""));
            it.text(fields, "type", Need::Optional);
            fields.get("value");
        });
        let clean = self.found[before..].iter().all(|it| it.severity == Severity::Warning);
        let property = serde_json::from_value::<Property>(place.node.to_value());
        if clean
            && let Ok(property) = property
            && let Err(error) = property.check()
        {
            self.error(place, error.to_string(), "");
        }
    }

    /// The fields that say which service values or secrets are for.
    pub(super) fn service_selector(&mut self, fields: &mut Fields<'a>) {
        self.parsed::<OrgId>(fields, "serviceOrgid", Need::Required(EXAMPLE_ORG));
        self.parsed::<ServiceUrl>(fields, "serviceUrl", Need::Required(EXAMPLE_URL));
        self.parsed::<ArchChoice>(fields, "serviceArch", Need::Optional);
        self.parsed::<VersionRange>(fields, "serviceVersionRange", Need::Optional);
    }

    pub(super) fn secret_binding(&mut self, fields: &mut Fields<'a>) {
        for place in self.items(fields, "secretBinding") {
            self.object(&place, |it, fields| {
                it.service_selector(fields);
                it.flag(fields, "enableNodeLevelSecrets");
                for place in it.items(fields, "secrets") {
                    for (_, place) in it.entries_of(&place) {
                        it.text_of(&place);
                    }
                }
            });
        }
    }

    /// The versions that a pattern or a policy offers.
    pub(super) fn service_versions(&mut self, fields: &mut Fields<'a>) {
        let place = fields.get("serviceVersions");
        let items = place.as_ref().map(|it| self.items_of(it)).unwrap_or_default();
        if items.is_empty() {
            let place = place.unwrap_or_else(|| fields.place().clone());
            let help = "add \"serviceVersions\": [{\"version\": \"1.0.0\"}]";
            self.error(&place, "no version of the service is offered", help);
        }
        let several = items.len() > 1;
        let mut turns = Vec::new();
        for place in items {
            self.object(&place, |it, fields| {
                it.exact_version(fields);
                let value = it.priority(fields);
                if several && (value == 0 || turns.contains(&value)) {
                    let what = "of several versions each needs a priority_value of its own";
                    it.error(&place, what, "the version with the lowest number is tried first");
                }
                turns.push(value);
                it.upgrade_policy(fields);
                it.overrides(fields);
                it.text(fields, "deployment_overrides_signature", Need::Optional);
            });
        }
    }

    fn exact_version(&mut self, fields: &mut Fields<'a>) {
        let Some((place, text)) = self.text(fields, "version", Need::Required(EXAMPLE_VERSION))
        else {
            return;
        };
        if text.starts_with(['[', '(']) {
            let help = "name one version; several stand in several entries, by priority";
            return self.error(&place, format!("`{text}` is a range"), help);
        }
        self.parse::<Version>(&place, text);
    }

    /// The priority value; 0 is none.
    fn priority(&mut self, fields: &mut Fields<'a>) -> u64 {
        let Some(place) = fields.get("priority") else { return 0 };
        let mut value = 0;
        self.object(&place, |it, fields| {
            let [turn, retries, within, verified] =
                ["priority_value", "retries", "retry_durations", "verified_durations"]
                    .map(|name| it.whole(fields, name));
            let rest = [retries, within];
            if turn > 0 && rest.contains(&0) {
                let what = "a priority needs retries and retry_durations";
                let help = "add \"retries\": 2, \"retry_durations\": 3600";
                it.error(&place, what, help);
            } else if turn == 0 && (rest != [0, 0] || verified > 0) {
                let what = "retries mean nothing without a priority_value";
                it.error(&place, what, "add \"priority_value\": 1");
            }
            value = turn;
        });
        value
    }

    fn upgrade_policy(&mut self, fields: &mut Fields<'a>) {
        let Some(place) = fields.get("upgradePolicy") else { return };
        self.object(&place, |it, fields| {
            if let Some((place, word)) = it.text(fields, "lifecycle", Need::Optional)
                && !["immediate", "never", "agreement"].contains(&word)
            {
                it.error(
                    &place,
                    format!("`{word}` is unknown"),
                    "use immediate, never or agreement",
                );
            }
            it.text(fields, "time", Need::Optional);
        });
    }

    /// An object, or the text of one that is already signed.
    fn overrides(&mut self, fields: &mut Fields<'a>) {
        let Some(place) = fields.get("deployment_overrides") else { return };
        if matches!(place.node.content, Content::Text(_)) {
            return;
        }
        self.object(&place, |it, fields| {
            for (_, place) in it.entries(fields, "services") {
                it.object(&place, Inspector::environment);
            }
        });
    }

    pub(super) fn node_health(&mut self, fields: &mut Fields<'a>) {
        let Some(place) = fields.get("nodeHealth") else { return };
        self.object(&place, |it, fields| {
            it.whole(fields, "missing_heartbeat_interval");
            it.whole(fields, "check_agreement_status");
        });
    }
}
