//! Reads documents from what their authors wrote, and tells everything that is wrong at once.

mod container;
mod fields;
mod hint;
mod parts;
mod pattern;
mod policy;
mod service;
mod traps;
mod user_input;

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde_json::Value;

use self::fields::{Fields, Need, Place};
use crate::{
    document::{
        problem::{Problem, Problems, Severity},
        source::{Content, Edits, Source},
    },
    types::{JsonProblem, escape_foreign},
};

/// The longest value that a problem repeats, in characters.
const LONGEST_QUOTE: usize = 100;

/// Looks at a source, and gathers what is wrong.
struct Inspector<'a> {
    source: &'a Source,
    found: Vec<Problem>,
    edits: Edits,
    /// The undefined variables that were told of as errors.
    undefined: BTreeSet<String>,
}

impl<'a> Inspector<'a> {
    fn of(source: &'a Source) -> Self {
        Self { source, found: Vec::new(), edits: Edits::default(), undefined: BTreeSet::new() }
    }

    fn root(&self) -> Place<'a> {
        Place { node: self.source.root(), path: String::new() }
    }

    /// Something is wrong with a value. Where it asks for an undefined variable, that is what is wrong.
    fn error(&mut self, place: &Place<'_>, what: impl Into<String>, help: impl Into<String>) {
        let (mut what, mut help) = (what.into(), help.into());
        if let Some((variable, remedy)) = self.source.undefined_in(place.node) {
            let name = place.path.rsplit('.').next().unwrap_or_default();
            what = match &place.node.content {
                Content::Text(text) if !text.is_empty() => {
                    let text = escape_foreign(text, LONGEST_QUOTE);
                    format!("`{name}` becomes `{text}`: {variable} is not defined")
                }
                _ => format!("`{name}` is empty: {variable} is not defined"),
            };
            help = remedy;
            self.undefined.insert(variable.to_owned());
        }
        self.tell(Severity::Error, place.node.at, &place.path, what, help);
    }

    fn warn(&mut self, place: &Place<'_>, what: impl Into<String>, help: impl Into<String>) {
        self.tell(Severity::Warning, place.node.at, &place.path, what.into(), help.into());
    }

    fn tell(&mut self, severity: Severity, at: usize, path: &str, what: String, help: String) {
        let (line, column) = self.source.place(at);
        let problem = Problem { severity, line, column, path: path.to_owned(), what, help };
        if !self.found.contains(&problem) {
            self.found.push(problem);
        }
    }

    /// What a value says, with fields under the names that they have.
    fn value_of(&self, place: &Place<'_>) -> Value {
        place.node.to_value_with(&self.edits)
    }

    /// Warns of fields that are written in another case, and reads them as they are meant.
    fn adopt(&mut self, fields: &Fields<'a>) {
        for (member, name) in fields.respelled() {
            if self.edits.rename(member, name) {
                let what = format!("`{}` is read as `{name}`, as Horizon reads it", member.name);
                let help = format!("write `{name}`");
                self.tell(Severity::Warning, member.at, &fields.path_of(name), what, help);
            }
        }
    }

    /// The fields of an object, which `check` looks at; then those that nobody looked at are told.
    fn object(&mut self, place: &Place<'a>, check: impl FnOnce(&mut Self, &mut Fields<'a>)) {
        let Content::Object(members) = &place.node.content else {
            let what = format!("expected an object, found {}", place.node.kind());
            return self.error(place, what, "");
        };
        let mut fields = Fields::of(place, members);
        check(self, &mut fields);
        self.adopt(&fields);
        for member in fields.unknown() {
            let what = format!("`{}` is no field of this", member.name);
            let help = hint::for_unknown(&member.name, fields.asked());
            let path = fields.path_of(&member.name);
            self.tell(Severity::Warning, member.at, &path, what, help);
        }
    }

    /// Refuses a file that has fields, and none of a document of this kind: it is another file.
    fn some_known(&mut self, fields: &Fields<'a>, kind: &str, examples: &str) {
        if fields.are_all_unknown() {
            let place = fields.place().clone();
            let what = format!("no field of this file is one of a {kind}");
            self.error(&place, what, format!("a {kind} has {examples}; an empty one is {{}}"));
        }
    }

    /// Decodes the document, if nothing is wrong that matters.
    fn finish<T: DeserializeOwned>(mut self) -> Result<(T, Vec<Problem>), Problems> {
        self.numbers();
        let is_fine = self.found.iter().all(|it| it.severity == Severity::Warning);
        let decode = || serde_json::from_value(self.source.root().to_value_with(&self.edits));
        let decoded = is_fine.then(|| decode().map_err(JsonProblem::from));
        if let Some(Err(error)) = &decoded {
            // The checks know more than the decoder, so that this should never be reached.
            let root = self.root();
            self.error(&root, error.to_string(), "");
        }
        let mut all = self.source.warnings_without(&self.undefined);
        all.append(&mut self.found);
        all.sort_by_key(|it| (it.line, it.column));
        match decoded {
            Some(Ok(document)) => Ok((document, all)),
            _ => Err(Problems { file: self.source.name().to_owned(), all }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{
        DeploymentPolicy, NodePolicy, Pattern, ServiceDefinition, UserInputValue, source::Variables,
    };

    /// `line:column path: what | help` of each problem.
    pub(super) fn told<T: std::fmt::Debug>(
        text: &str,
        read: impl Fn(&Source) -> Result<(T, Vec<Problem>), Problems>,
    ) -> Vec<String> {
        let source = Source::read("f.json", text, &Variables::new()).unwrap();
        let all = match read(&source) {
            Ok((_, warnings)) => warnings,
            Err(problems) => problems.all,
        };
        all.iter()
            .map(|it| {
                let sign = if it.severity == Severity::Error { "" } else { "?" };
                format!("{sign}{}:{} {}: {} | {}", it.line, it.column, it.path, it.what, it.help)
            })
            .collect()
    }

    /// Whether the problems are these, each given by its beginning and a part of the rest.
    #[track_caller]
    pub(super) fn assert_told(told: &[String], expected: &[(&str, &str)]) {
        let fits = told.len() == expected.len()
            && told
                .iter()
                .zip(expected)
                .all(|(it, (start, part))| it.starts_with(start) && it.contains(part));
        assert!(fits, "{told:#?}");
    }

    #[test]
    fn everything_that_is_wrong_with_a_service_is_told_at_once() {
        let text = r#"{
  "documentation": "readme", "url": " ", "version": "v1", "arch": "amd 64",
  "sharable": "sometimes", "public": "yes", "lable": "x",
  "requiredServices": [{"url": "a", "org": "o", "arch": "arm"}],
  "userInput": [{"name": "A", "type": "text"}, {"name": "A", "type": "int", "defaultValue": "x"}],
  "deployment": {"services": {
    "web": {"image": "my.image:1.0", "enviroment": [], "environment": ["A"], "gpus": 1,
      "ports": [{"HostPort": "80:x"}, {"HostPort": 80}], "binds": ["a"], "max_memory_mb": "1"},
    "db": {"privileged": 1}
  }}
}"#;
        assert_told(
            &told(text, ServiceDefinition::from_source),
            &[
                ("?1:1 : `label` is missing", "add \"label\""),
                ("2:20 documentation: ", "URL"),
                ("2:37 url: ", "cannot name a service"),
                ("2:53 version: ", "1.2.3"),
                ("2:67 arch: ", "amd64"),
                ("3:15 sharable: ", "multiple"),
                ("3:38 public: expected true or false, found a text", "without quotes"),
                ("?3:45 lable: ", "did you mean `label`?"),
                ("4:24 requiredServices[0]: ", "versionRange"),
                ("5:39 userInput[0].type: ", "list of strings"),
                ("5:57 userInput[1].name: ", "twice"),
                ("?5:93 userInput[1].defaultValue: ", "int"),
                ("?7:22 deployment.services.web.image: ", "takes `my.image` for a registry"),
                ("?7:38 deployment.services.web.enviroment: ", "`environment`?"),
                ("7:72 deployment.services.web.environment[0]: ", "NAME=value"),
                ("?7:78 deployment.services.web.gpus: ", "Docker has this"),
                ("8:30 deployment.services.web.ports[0].HostPort: ", "65535"),
                ("8:52 deployment.services.web.ports[1].HostPort: ", "quotes: \"80\""),
                ("8:68 deployment.services.web.binds[0]: ", ":ro"),
                ("8:91 deployment.services.web.max_memory_mb: ", "whole number"),
                ("9:11 deployment.services.db.image: `image` is missing", "registry"),
                ("9:26 deployment.services.db.privileged: ", "true or false"),
            ],
        );
    }

    #[test]
    fn a_deployment_that_cannot_be_signed_is_told() {
        let service = |rest: &str| {
            let start =
                r#"{"label":"l","url":"u","version":"1","arch":"arm","sharable":"multiple""#;
            told(&format!("{start}{rest}}}"), ServiceDefinition::from_source)
        };
        assert_told(&service(r#","deployment":null"#), &[("?1:1", "runs nothing")]);
        assert_told(&service(r#","deployment":{}"#), &[("1:86 deployment: ", "no containers")]);
        assert_told(&service(r#","deployment":{"services":{}}"#), &[("1:86", "no containers")]);
        assert_told(&service(r#","deployment":"{}""#), &[("1:86", "deploymentSignature")]);
        assert_told(&service(r#","deployment":"{}","deploymentSignature":"x""#), &[]);
        assert_told(&service(r#","clusterDeployment":{"operatorYamlArchive":"a"}"#), &[]);
        assert_told(&service(r#","deployment":5"#), &[("1:86", "an object, found a number")]);
    }

    #[test]
    fn everything_that_is_wrong_with_a_pattern_is_told_at_once() {
        let text = r#"{"label": "l", "services": [
  {"serviceUrl": "u", "serviceOrgid": "a/b", "serviceArch": "*", "serviceVersions": [
    {"version": "[1.0.0,2.0.0)", "priority": {"priority_value": 1}},
    {"version": "1.0.0", "upgradePolicy": {"lifecycle": "now"}}]},
  {"serviceUrl": "u", "serviceOrgid": "o", "serviceArch": "*"}],
  "userInput": [{"serviceOrgid": "o", "serviceUrl": "u", "inputs": [{"name": "A"}, {"name": "B", "value": {}}]}],
  "secretBinding": [{"serviceOrgid": "o"}]}"#;
        assert_told(
            &told(text, Pattern::from_source),
            &[
                ("2:39 services[0].serviceOrgid: ", "organization"),
                ("3:17 services[0].serviceVersions[0].version: ", "range"),
                ("3:46 services[0].serviceVersions[0].priority: ", "retries"),
                ("4:5 services[0].serviceVersions[1]: ", "lowest"),
                ("4:57 services[0].serviceVersions[1].upgradePolicy.lifecycle: ", "never"),
                ("5:3 services[1]: ", "no version"),
                ("6:69 userInput[0].inputs[0]: ", "value"),
                ("6:107 userInput[0].inputs[1].value: ", "found an object"),
                ("7:21 secretBinding[0].serviceUrl: ", "missing"),
            ],
        );
        assert_told(&told(r#"{"label":"l"}"#, Pattern::from_source), &[("1:1", "no services")]);
        assert_told(&told("[]", Pattern::from_source), &[("1:1 : expected an object", "a list")]);
    }

    #[test]
    fn everything_that_is_wrong_with_a_policy_is_told_at_once() {
        let text = r#"{
  "properties": [{"name": "a", "value": []}, {"value": 1}, {"name": "b", "value": "x", "type": "int"},
    {"name": "c", "value": 1}, {"name": "c", "value": 2}],
  "constraints": ["a == 12ab", "b >= 1.0.0", 5, " a == b"],
  "deployment": {"constraint": []}}"#;
        assert_told(
            &told(text, NodePolicy::from_source),
            &[
                ("2:18 properties[0]: ", "must be"),
                ("2:46 properties[1].name: ", "missing"),
                ("2:60 properties[2]: ", "not of its type `int`"),
                ("?3:32 properties[4]: ", "first counts"),
                ("4:27 constraints[0]: ", "column 8"),
                ("4:38 constraints[1]: ", "need a number"),
                ("4:46 constraints[2]: ", "quotes"),
                ("?4:51 constraints[3]: ", "blank before `a`"),
                ("?5:18 deployment.constraint: ", "`constraints`?"),
            ],
        );
        assert_told(
            &told(r#"{"label": "l"}"#, DeploymentPolicy::from_source),
            &[("1:1", "`service` is missing"), ("?1:1", "without constraints")],
        );
    }

    #[test]
    fn values_are_read_in_both_formats() {
        let new = r#"[{"serviceOrgid":"o","serviceUrl":"u","serviceArch":"","inputs":[{"name":"A","value":1}]}]"#;
        let old = r#"{"global":[],"services":[{"org":"o","url":"u","variables":{"A":1}}]}"#;
        let read = |text| {
            let source = Source::read("f.json", text, &Variables::new()).unwrap();
            UserInputValue::all_from_source(&source).unwrap()
        };
        assert_eq!(read(new), read(old));
        let wrong = r#"{"services":[{"org":"o","variables":{"A":null}}]}"#;
        assert_told(
            &told(wrong, UserInputValue::all_from_source),
            &[("1:14", "`url` is missing"), ("1:42", "found null")],
        );
    }

    #[test]
    fn problems_show_where_they_are() {
        let source = Source::read("s.json", "{\n \"label\": 5}", &Variables::new()).unwrap();
        let text = NodePolicy::from_source(&source).unwrap_err().to_string();
        let expected = "s.json:2:11: label: expected a text, found a number\n  help: put it into quotes: \"5\"";
        assert_eq!(text, expected);
    }
}
