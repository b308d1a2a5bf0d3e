//! Checks the variables of services, and reads the values that people give them.

use serde_json::{Map, Value};

use super::{Fields, Inspector, Need, Place};
use crate::{
    document::{
        choice::ArchChoice,
        kind::Kind,
        problem::{Problem, Problems},
        source::{Content, Source},
        user_input::{InputKind, InputValue, UserInputValue},
    },
    types::{OrgId, ServiceUrl, VersionRange},
};

const KINDS: [&str; 6] = ["string", "int", "float", "boolean", "bool", "list of strings"];

impl UserInputValue {
    /// Reads a file of values: a list of services with `inputs`, or Horizon's older object with
    /// `services` and their `variables`.
    pub fn all_from_source(source: &Source) -> Result<(Vec<Self>, Vec<Problem>), Problems> {
        Kind::UserInput.expect(source)?;
        let mut it = Inspector::of(source);
        let root = it.root();
        let old = matches!(root.node.content, Content::Object(_));
        let mut values = Vec::new();
        if old {
            it.object(&root, |it, fields| {
                it.old_values(fields, &mut values);
                it.some_known(fields, "file of values", "`services`");
            });
        } else {
            it.values_of(&root);
        }
        match it.finish::<Value>()? {
            (_, warnings) if old => Ok((values, warnings)),
            // What was checked above can be decoded.
            (list, warnings) => Ok((serde_json::from_value(list).unwrap_or_default(), warnings)),
        }
    }
}

impl<'a> Inspector<'a> {
    /// The variables that a service asks for.
    pub(super) fn asked(&mut self, fields: &mut Fields<'a>) {
        let mut names = Vec::new();
        for place in self.items(fields, "userInput") {
            self.object(&place, |it, fields| {
                let Some((place, name)) = it.text(fields, "name", Need::Optional) else {
                    for name in ["label", "type", "defaultValue"] {
                        fields.get(name);
                    }
                    return it.nameless(fields, "it asks for nothing");
                };
                it.variable_name(&place, name);
                if names.contains(&name) {
                    it.error(&place, format!("`{name}` is asked for twice"), "");
                }
                names.push(name);
                it.text(fields, "label", Need::Optional);
                let kind = it.text(fields, "type", Need::Optional);
                let default = it.text(fields, "defaultValue", Need::Optional);
                if let Some((place, word)) = &kind
                    && !KINDS.contains(word)
                {
                    let help = "use string, int, float, boolean or list of strings";
                    it.error(place, format!("`{word}` is not a type of variable"), help);
                }
                let kind = kind.map_or("string", |(_, word)| word);
                if let Some((place, text)) = default {
                    let fits = match kind {
                        "int" => text.parse::<i64>().is_ok(),
                        "float" => text.parse::<f64>().is_ok(),
                        "boolean" | "bool" => matches!(text, "true" | "false"),
                        _ => true,
                    };
                    if !fits {
                        it.warn(&place, format!("the default `{text}` is not of type {kind}"), "");
                    }
                }
            });
        }
    }

    /// An entry without a name, as old project templates of `hzn` have one: Horizon's agent passes over it, and so does
    /// this reader. An undefined variable in the place of the name is an error.
    fn nameless(&mut self, fields: &mut Fields<'a>, effect: &str) {
        if let Some(place) = fields.get("name")
            && !matches!(&place.node.content, Content::Text(text) if text.is_empty())
        {
            return; // told of already: it is no text
        }
        if let Some(place) = fields.get("name")
            && self.source.undefined_in(place.node).is_some()
        {
            return self.error(&place, "`name` is missing", "");
        }
        let place = fields.place().clone();
        self.edits.leave_out(place.node);
        let what = format!("an entry without a name: {effect}");
        self.warn(&place, what, "take it away, or add \"name\"");
    }

    fn variable_name(&mut self, place: &Place<'_>, name: &str) {
        if name.contains(['=', '\0']) || name.contains(char::is_whitespace) {
            let what = format!("`{name}` cannot name a variable of the environment");
            self.error(place, what, "use letters, digits and _");
        }
    }

    /// The values that a pattern or a policy gives.
    pub(super) fn given(&mut self, fields: &mut Fields<'a>) {
        if let Some(place) = fields.get("userInput") {
            self.values_of(&place);
        }
    }

    fn values_of(&mut self, list: &Place<'a>) {
        for place in self.items_of(list) {
            self.object(&place, |it, fields| {
                it.service_selector(fields);
                let mut names = Vec::new();
                for place in it.items(fields, "inputs") {
                    it.object(&place, |it, fields| {
                        let name = it.text(fields, "name", Need::Optional);
                        let value = fields.get("value");
                        let Some((at, name)) = name else {
                            return it.nameless(fields, "it gives no variable a value");
                        };
                        it.variable_name(&at, name);
                        it.once(&mut names, name, &at, "the last counts");
                        match value {
                            Some(place) => it.value(&place),
                            None => it.error(&place, "`value` is missing", ""),
                        }
                    });
                }
            });
        }
    }

    fn value(&mut self, place: &Place<'a>) {
        let value = place.node.to_value();
        let kinds = [InputKind::Text, InputKind::Float, InputKind::Boolean, InputKind::List];
        if !kinds.iter().any(|kind| kind.takes(&value)) {
            self.wrong_type(place, "a text, a number, a boolean or a list of texts", "");
        }
    }

    /// The older format.
    fn old_values(&mut self, fields: &mut Fields<'a>, values: &mut Vec<UserInputValue>) {
        if let Some(place) = fields.get("global")
            && let Content::List(items) = &place.node.content
            && !items.is_empty()
        {
            self.warn(&place, "`global` values are not used", "give them to each service");
        }
        for place in self.items(fields, "services") {
            self.object(&place, |it, fields| {
                let org = it.parsed::<OrgId>(fields, "org", Need::Required("\"$HZN_ORG_ID\""));
                let url = Need::Required("\"$SERVICE_NAME\"");
                let url = it.parsed::<ServiceUrl>(fields, "url", url);
                let range = it.parsed::<VersionRange>(fields, "versionRange", Need::Optional);
                it.range(range.as_ref());
                let mut inputs = Vec::new();
                for (name, place) in it.entries(fields, "variables") {
                    it.variable_name(&place, name);
                    it.value(&place);
                    inputs.push(InputValue::new(name, place.node.to_value()));
                }
                if let (Some((_, service_orgid)), Some((_, service_url))) = (org, url) {
                    values.push(UserInputValue {
                        service_orgid,
                        service_url,
                        service_arch: ArchChoice::Any,
                        service_version_range: range.map(|(_, range)| range),
                        inputs,
                        unknown: Map::new(),
                    });
                }
            });
        }
    }
}
