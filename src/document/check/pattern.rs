//! Reads a pattern.

use super::{Fields, Inspector, Need, parts};
use crate::{
    document::{
        choice::ArchChoice,
        kind::Kind,
        pattern::Pattern,
        problem::{Problem, Problems},
        source::Source,
    },
    types::{OrgId, PatternId, ServiceUrl},
};

impl Pattern {
    /// Reads a pattern, with warnings; or tells everything that is wrong with it.
    pub fn from_source(source: &Source) -> Result<(Self, Vec<Problem>), Problems> {
        Kind::Pattern.expect(source)?;
        let mut it = Inspector::of(source);
        it.object(&it.root(), Inspector::pattern);
        it.finish()
    }
}

impl<'a> Inspector<'a> {
    fn pattern(&mut self, fields: &mut Fields<'a>) {
        self.parsed::<PatternId>(fields, "name", Need::Optional);
        self.parsed::<OrgId>(fields, "org", Need::Optional);
        self.label(fields, "\"My pattern\"");
        self.text(fields, "description", Need::Optional);
        self.flag(fields, "public");
        self.text(fields, "clusterNamespace", Need::Optional);
        let services = self.items(fields, "services");
        if services.is_empty() {
            let what = "the pattern has no services";
            let place = fields.place().clone();
            self.error(&place, what, "add \"services\": [{\"serviceUrl\": …}]");
        }
        let mut names = Vec::new();
        for place in services {
            self.object(&place, |it, fields| {
                let url = Need::Required(parts::EXAMPLE_URL);
                let url = it.parsed::<ServiceUrl>(fields, "serviceUrl", url);
                let org = Need::Required(parts::EXAMPLE_ORG);
                let org = it.parsed::<OrgId>(fields, "serviceOrgid", org);
                let arch = Need::Required("\"*\"");
                let arch = it.parsed::<ArchChoice>(fields, "serviceArch", arch);
                if let (Some((place, url)), Some((_, org)), Some((_, arch))) = (url, org, arch) {
                    let name = format!("{org}/{url} for {arch}");
                    it.once(&mut names, name, &place, "offer its versions in one entry");
                }
                it.flag(fields, "agreementLess");
                it.service_versions(fields);
                it.data_verification(fields);
                it.node_health(fields);
            });
        }
        for place in self.items(fields, "agreementProtocols") {
            self.object(&place, |it, fields| {
                if let Some((place, name)) = it.text(fields, "name", Need::Required("\"Basic\""))
                    && name != "Basic"
                {
                    let what = format!("no node speaks the protocol `{name}`");
                    it.warn(&place, what, "write Basic, or leave agreementProtocols away");
                }
                it.whole(fields, "protocolVersion");
                it.items(fields, "blockchains");
            });
        }
        self.given(fields);
        self.secret_binding(fields);
    }

    fn data_verification(&mut self, fields: &mut Fields<'a>) {
        let Some(place) = fields.get("dataVerification") else { return };
        self.object(&place, |it, fields| {
            it.flag(fields, "enabled");
            for name in ["URL", "user", "password"] {
                it.text(fields, name, Need::Optional);
            }
            it.whole(fields, "interval");
            it.whole(fields, "check_rate");
            if let Some(place) = fields.get("metering") {
                it.object(&place, |it, fields| {
                    it.whole(fields, "tokens");
                    it.text(fields, "per_time_unit", Need::Optional);
                    it.whole(fields, "notification_interval");
                });
            }
        });
    }
}
