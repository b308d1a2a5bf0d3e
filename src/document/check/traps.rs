//! What reads well and means something else, wherever it stands in a document.

use super::{Inspector, Place};
use crate::{
    document::{
        constraint::{self, Constraint},
        problem::{Problem, Severity},
        source::{Content, Node},
    },
    types::VersionRange,
};

/// More digits than a 64-bit float holds for certain.
const EXACT_DIGITS: usize = 17;

impl<'a> Inspector<'a> {
    /// A constraint: where it stops making sense, or what of it means something else.
    pub(super) fn constraint(&mut self, place: &Place<'a>, text: &str) {
        match Constraint::parse(text) {
            Ok(constraint) => {
                for trap in constraint.traps() {
                    self.tell_within(Severity::Warning, place, trap.offset, trap.what, trap.help);
                }
            }
            Err(error) => {
                let (offset, help) = (error.column - 1, error.help.to_owned());
                self.tell_within(Severity::Error, place, offset, error.to_string(), help);
            }
        }
    }

    /// Tells of something `offset` characters into a text.
    fn tell_within(
        &mut self,
        severity: Severity,
        place: &Place<'_>,
        offset: usize,
        what: String,
        help: String,
    ) {
        let found = self.source.place_of(&place.path, offset);
        let (line, column) = found.unwrap_or_else(|| self.source.place(place.node.at));
        let path = place.path.clone();
        self.found.push(Problem { severity, line, column, path, what, help });
    }

    /// What is odd about a range of versions.
    pub(super) fn range(&mut self, found: Option<&(Place<'a>, VersionRange)>) {
        if let Some((place, range)) = found
            && let Some((what, help)) = constraint::trap_of_range(range)
        {
            self.warn(place, what, help);
        }
    }

    /// Numbers that Horizon, which reads each as a 64-bit float, changes.
    pub(super) fn numbers(&mut self) {
        let root = self.root();
        self.numbers_of(root.node, &root.path);
    }

    fn numbers_of(&mut self, node: &'a Node, path: &str) {
        match &node.content {
            Content::Number(_) => {
                let written = node.written.as_deref().unwrap_or_default();
                if let Some(becomes) = changed(written) {
                    let what = format!(
                        "numbers are 64-bit floats to Horizon: {written} becomes {becomes}"
                    );
                    let help = "put it into quotes, if what reads it takes a text".to_owned();
                    self.tell(Severity::Warning, node.at, path, what, help);
                }
            }
            Content::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.numbers_of(item, &format!("{path}[{index}]"));
                }
            }
            Content::Object(members) => {
                for member in members {
                    let dot = if path.is_empty() { "" } else { "." };
                    self.numbers_of(&member.node, &format!("{path}{dot}{}", member.name));
                }
            }
            _ => (),
        }
    }
}

/// What a number becomes as a 64-bit float, if its digits do not survive.
fn changed(written: &str) -> Option<String> {
    if written.contains(['.', 'e', 'E']) {
        let mantissa = written.split(['e', 'E']).next().unwrap_or_default();
        let digits = mantissa.replace(['-', '.'], "");
        let significant = digits.trim_matches('0').len();
        let float: f64 = written.parse().ok()?;
        return (significant > EXACT_DIGITS).then(|| float.to_string());
    }
    constraint::rounded(written)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{
        DeploymentPolicy, NodePolicy, Pattern, ServiceDefinition, ServicePolicy,
        check::tests::{assert_told, told},
    };

    #[test]
    fn a_trap_has_the_place_of_its_clause_in_the_file() {
        let text = "{\"constraints\": [\n  \"a == b AND\\tn => 5\",\n  \"v in [2.0.0,1.0.0]\"]}";
        assert_told(
            &told(text, ServicePolicy::from_source),
            &[("?2:16 constraints[0]: ", "n >= 5"), ("?3:4 constraints[1]: ", "wrong way round")],
        );
    }

    #[test]
    fn ranges_numbers_and_names_are_told_wherever_they_stand() {
        let service = r#"{"label":"l","url":"u","version":"1","arch":"arm","sharable":"single",
  "requiredServices": [
    {"url":"r","org":"o","arch":"arm","versionRange":"[1.0.0,1.0.0)"},
    {"url":"r","org":"o","arch":"arm","version":"1.0.0","versionRange":"(2.0.0,1.0.0)"}],
  "deployment": {"services": {"a": {"image": "r.example/a:1", "x": 12345678901234567890}}}}"#;
        assert_told(
            &told(service, ServiceDefinition::from_source),
            &[
                ("?1:62 sharable: ", "singleton"),
                ("?3:54 requiredServices[0].versionRange: ", "looks empty, and has 1.0.0"),
                ("?4:12 requiredServices[1].url: `o/r` stands here again", "one range"),
                ("?4:49 requiredServices[1].version: ", "`versionRange` counts"),
                ("?4:72 requiredServices[1].versionRange: ", "wrong way round"),
                ("?5:63 deployment.services.a.x: ", "`x`"),
                ("?5:68 deployment.services.a.x: ", "becomes 12345678901234567000"),
            ],
        );
    }

    #[test]
    fn what_cannot_be_stated_is_told() {
        let text = r#"{"properties": [{"name": "openhorizon.memory", "value": 5},
  {"name": "openhorizon.allowPrivileged", "value": "true"}]}"#;
        assert_told(
            &told(text, NodePolicy::from_source),
            &[("?1:17 properties[0]: ", "measures it"), ("?2:3 properties[1]: ", "without quotes")],
        );
        let text = r#"{"properties": [{"name": "openhorizon.service.url", "value": "x"}]}"#;
        let told = told(text, ServicePolicy::from_source);
        assert_told(&told, &[("?1:17 properties[0]: ", "made from the service")]);
    }

    #[test]
    fn oddities_of_a_deployment_policy_are_told() {
        let text = r#"{"service": {"name": "u", "org": "o", "serviceVersions": [
    {"version": "1.0.0", "priority": {"priority_value": 1, "retries": 1, "retry_durations": 1},
     "upgradePolicy": {"time": "25:00"}},
    {"version": "1.0.0-rc", "priority": {"priority_value": 2, "retries": 1, "retry_durations": 1}},
    {"version": "1.0", "priority": {"priority_value": 3, "retries": 1, "retry_durations": 1}}]},
  "secretBinding": [{"serviceOrgid": "o", "serviceUrl": "u", "secrets": [{"a": "b", "c": "d"}]}]}"#;
        assert_told(
            &told(text, DeploymentPolicy::from_source),
            &[
                ("?1:1 ", "without constraints"),
                ("?1:13 service: `arch` is missing", "\"*\""),
                ("?3:32 service.serviceVersions[0].upgradePolicy.time: ", "01:00AM"),
                ("?4:17 service.serviceVersions[1].version: ", "does not take"),
                ("?5:17 service.serviceVersions[2].version: `1.0` stands here again", "first"),
                ("6:74 secretBinding[0].secrets[0]: ", "one secret"),
            ],
        );
    }

    #[test]
    fn oddities_of_a_pattern_are_told() {
        let text = r#"{"label": "l", "services": [
  {"serviceUrl": "u", "serviceOrgid": "o", "serviceArch": "*", "serviceVersions": [
    {"version": "1.0.0", "deployment_overrides": {"services": {"a": {"environment": ["A=1"], "image": "x"}}}}]},
  {"serviceUrl": "u", "serviceOrgid": "o", "serviceArch": "*", "serviceVersions": [
    {"version": "1.0.0", "deployment_overrides": "[]", "deployment_overrides_signature": "s"},
    {"version": "2.0.0", "deployment_overrides_signature": "s"}]}],
  "agreementProtocols": [{"name": "Citizen Scientist"}],
  "userInput": [{"serviceOrgid": "o", "serviceUrl": "u", "inputs": [{"name": "A", "value": 1}, {"name": "A", "value": 2}]}]}"#;
        let all = told(text, Pattern::from_source);
        for (place, part) in [
            (
                "?3:103 services[0].serviceVersions[0].deployment_overrides.services.a.image: ",
                "only `environment`",
            ),
            ("?4:18 services[1].serviceUrl: ", "one entry"),
            ("5:50 services[1].serviceVersions[0].deployment_overrides: ", "object"),
            (
                "?6:60 services[1].serviceVersions[1].deployment_overrides_signature: ",
                "no `deployment_overrides`",
            ),
            ("?7:35 agreementProtocols[0].name: ", "Basic"),
            ("?8:105 userInput[0].inputs[1].name: ", "last counts"),
        ] {
            assert!(
                all.iter().any(|it| it.starts_with(place) && it.contains(part)),
                "{place} {all:#?}"
            );
        }
    }

    #[test]
    fn numbers_whose_digits_do_not_survive_are_told() {
        for (written, becomes) in [
            ("12345678901234567890", Some("12345678901234567000")),
            ("9007199254740993", Some("9007199254740992")),
            ("9007199254740992", None),
            ("-5", None),
            ("1.50", None),
            ("1e400", None),
            ("0.1234567890123456789", Some("0.12345678901234568")),
            ("1e21", None),
        ] {
            assert_eq!(changed(written).as_deref(), becomes, "{written}");
        }
    }
}
