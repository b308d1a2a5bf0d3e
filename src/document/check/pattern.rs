//! Reads a pattern.

use super::{Fields, Inspector, Need, parts};
use crate::{
    document::{
        choice::ArchChoice,
        pattern::Pattern,
        problem::{Problem, Problems},
        source::Source,
    },
    types::{OrgId, PatternId, ServiceUrl},
};

impl Pattern {
    /// Reads a pattern, with warnings; or tells everything that is wrong with it.
    pub fn from_source(source: &Source) -> Result<(Self, Vec<Problem>), Problems> {
        let mut it = Inspector::of(source);
        it.object(&it.root(), Inspector::pattern);
        it.finish()
    }
}

impl<'a> Inspector<'a> {
    fn pattern(&mut self, fields: &mut Fields<'a>) {
        self.parsed::<PatternId>(fields, "name", Need::Optional);
        self.parsed::<OrgId>(fields, "org", Need::Optional);
        self.text(fields, "label", Need::Required("\"My pattern\""));
        self.text(fields, "description", Need::Optional);
        self.flag(fields, "public");
        self.text(fields, "clusterNamespace", Need::Optional);
        let services = self.items(fields, "services");
        if services.is_empty() {
            let what = "the pattern has no services";
            let place = fields.place().clone();
            self.error(&place, what, "add \"services\": [{\"serviceUrl\": …}]");
        }
        for place in services {
            self.object(&place, |it, fields| {
                let url = Need::Required(parts::EXAMPLE_URL);
                it.parsed::<ServiceUrl>(fields, "serviceUrl", url);
                it.parsed::<OrgId>(fields, "serviceOrgid", Need::Required(parts::EXAMPLE_ORG));
                it.parsed::<ArchChoice>(fields, "serviceArch", Need::Required("\"*\""));
                it.flag(fields, "agreementLess");
                it.service_versions(fields);
                it.entries(fields, "dataVerification");
                it.node_health(fields);
            });
        }
        for place in self.items(fields, "agreementProtocols") {
            self.entries_of(&place);
        }
        self.given(fields);
        self.secret_binding(fields);
    }
}
