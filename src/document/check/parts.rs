//! What several documents have in common: properties, constraints, versions, secrets.

use serde_json::Value;

use super::{Fields, Inspector, Need, Place};
use crate::{
    document::{choice::ArchChoice, problem::Severity, property::Property, source::Content},
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
            let property = serde_json::from_value::<Property>(self.value_of(&place));
            if let Ok(Property { name, .. }) = property {
                self.once(&mut names, name, &place, "the first counts");
            }
        }
        for (place, text) in self.texts(fields, "constraints") {
            self.constraint(&place, text);
        }
    }

    /// The label, which Horizon's exchange takes empty, and lists show.
    pub(super) fn label(&mut self, fields: &mut Fields<'a>, example: &str) {
        if self.text(fields, "label", Need::Optional).is_some() {
            return;
        }
        let place = fields.place().clone();
        match fields.get("label") {
            // A label of another type is told of already, and an undefined variable too.
            Some(it) if !matches!(&it.node.content, Content::Text(text) if text.is_empty()) => (),
            Some(it) if self.source.undefined_in(it.node).is_some() => (),
            _ => {
                let what = "`label` is missing, so that lists show none";
                self.warn(&place, what, format!("add \"label\": {example}"));
            }
        }
    }

    /// Tells that a name stands here again.
    pub(super) fn once<T: PartialEq + std::fmt::Display>(
        &mut self,
        names: &mut Vec<T>,
        name: T,
        place: &Place<'_>,
        help: &str,
    ) {
        if names.contains(&name) {
            self.warn(place, format!("`{name}` stands here again"), help);
        } else {
            names.push(name);
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
        let property = serde_json::from_value::<Property>(self.value_of(place));
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
        let range = self.parsed::<VersionRange>(fields, "serviceVersionRange", Need::Optional);
        self.range(range.as_ref());
    }

    pub(super) fn secret_binding(&mut self, fields: &mut Fields<'a>) {
        for place in self.items(fields, "secretBinding") {
            self.object(&place, |it, fields| {
                it.service_selector(fields);
                it.flag(fields, "enableNodeLevelSecrets");
                let mut names = Vec::new();
                for place in it.items(fields, "secrets") {
                    let pairs = it.entries_of(&place);
                    if pairs.len() != 1 {
                        let what = "each item binds one secret";
                        let help = "write {\"name in the service\": \"name in the store\"}";
                        it.error(&place, what, help);
                    }
                    for (name, place) in pairs {
                        it.text_of(&place);
                        it.once(&mut names, name, &place, "the first counts");
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
        let mut versions = Vec::new();
        for place in items {
            self.object(&place, |it, fields| {
                if let Some((place, version)) = it.exact_version(fields) {
                    it.once(&mut versions, version, &place, "the first counts");
                }
                let value = it.priority(fields);
                if several && (value == 0 || turns.contains(&value)) {
                    let what = "of several versions each needs a priority_value of its own";
                    it.error(&place, what, "the version with the lowest number is tried first");
                }
                turns.push(value);
                it.upgrade_policy(fields);
                it.overrides(fields);
            });
        }
    }

    fn exact_version(&mut self, fields: &mut Fields<'a>) -> Option<(Place<'a>, Version)> {
        let (place, text) = self.text(fields, "version", Need::Required(EXAMPLE_VERSION))?;
        if text.starts_with(['[', '(']) {
            let help = "name one version; several stand in several entries, by priority";
            self.error(&place, format!("`{text}` is a range"), help);
            return None;
        }
        let version = self.parse::<Version>(&place, text)?;
        self.plain_version(&place, &version);
        Some((place, version))
    }

    /// Horizon's agents know versions that its exchange does not take.
    pub(super) fn plain_version(&mut self, place: &Place<'_>, version: &Version) {
        if version.as_str().contains('-') {
            let what = format!("Horizon's exchange does not take the version {version}");
            self.warn(place, what, "use numbers and dots alone to publish to it");
        }
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
            if let Some((place, time)) = it.text(fields, "time", Need::Optional)
                && !is_time_of_day(time)
            {
                it.warn(&place, format!("`{time}` is no time of day"), "write it as 01:00AM");
            }
        });
    }

    /// An object, or its text, which may be signed already.
    fn overrides(&mut self, fields: &mut Fields<'a>) {
        let signature = self.text(fields, "deployment_overrides_signature", Need::Optional);
        let Some(place) = fields.get("deployment_overrides") else {
            if let Some((place, _)) = signature {
                self.warn(&place, "there are no `deployment_overrides` to be signed", "");
            }
            return;
        };
        if let Content::Text(text) = &place.node.content {
            let is_object = serde_json::from_str::<serde_json::Map<_, Value>>(text).is_ok();
            if !text.is_empty() && !is_object {
                let help = "write the object itself: {\"services\": {…}}";
                self.error(&place, "the text is not that of an object", help);
            }
            return;
        }
        self.object(&place, |it, fields| {
            let services = it.entries(fields, "services");
            if services.is_empty() {
                it.warn(&place, "the overrides change nothing", "add \"services\": {…}");
            }
            for (_, place) in services {
                let Content::Object(members) = &place.node.content else {
                    it.wrong_type(&place, "an object", "");
                    continue;
                };
                let mut fields = Fields::of(&place, members);
                it.environment(&mut fields);
                it.adopt(&fields);
                let is_other = |(name, _): &(&str, _)| !name.eq_ignore_ascii_case("environment");
                for (name, place) in fields.entries().filter(is_other) {
                    let what =
                        format!("`{name}` cannot be overridden: only `environment` is passed on");
                    it.warn(&place, what, "publish another version of the service");
                }
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

/// `01:00AM`, as Horizon writes it.
fn is_time_of_day(text: &str) -> bool {
    let parts = || {
        let clock = text.strip_suffix("AM").or_else(|| text.strip_suffix("PM"))?;
        let (hour, minute) = clock.split_once(':')?;
        let is_number = |it: &str| it.len() == 2 && it.bytes().all(|b| b.is_ascii_digit());
        let number = |it: &str| it.parse::<u8>().ok().filter(|_| is_number(it));
        Some((number(hour)?, number(minute)?))
    };
    parts().is_some_and(|(hour, minute)| (1..=12).contains(&hour) && minute < 60)
}
