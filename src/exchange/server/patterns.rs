//! Patterns.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{answer::fits, posted::Noun};
use crate::exchange::api::{Pattern, PatternRequest, Patterns};

/// Which patterns to list.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Filters {
    idfilter: Option<String>,
    owner: Option<String>,
    public: Option<bool>,
    label: Option<String>,
    description: Option<String>,
    clusternamespace: Option<String>,
}

impl Noun for PatternRequest {
    const LIST: &'static str = "patterns";
    type Filters = Filters;

    fn fits(filters: &Filters, id: &str, it: &Pattern) -> bool {
        let (_, id) = id.split_once('/').unwrap_or_default();
        fits(filters.idfilter.as_deref(), id)
            && fits(filters.owner.as_deref(), &it.owner)
            && filters.public.is_none_or(|public| public == it.value.public)
            && fits(filters.label.as_deref(), &it.value.label)
            && fits(filters.description.as_deref(), &it.value.description)
            && fits(filters.clusternamespace.as_deref(), &it.value.cluster_namespace)
    }

    fn container(patterns: BTreeMap<String, Pattern>) -> impl Serialize {
        Patterns { patterns, last_index: 0 }
    }

    fn completed(self) -> Self {
        Self::completed(self)
    }

    fn problem(&self, _: &str) -> Option<String> {
        Self::problem(self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::exchange::server::testing::{Lab, service};

    fn pattern(version: &str) -> Value {
        json!({"label": "p", "services": [{
            "serviceUrl": "svc", "serviceOrgid": "A", "serviceArch": "arm",
            "serviceVersions": [{"version": version}], "dataVerification": {}
        }]})
    }

    #[tokio::test]
    async fn a_pattern_names_services_that_exist() {
        let lab = Lab::start().await;
        let post = |body| lab.post("A/u1", "/orgs/A/patterns/p", body);
        post(pattern("1.0.0")).await.refuses(400, "invalid-input");
        lab.post("A/u1", "/orgs/A/services", service("svc", "1.0.0", "arm")).await.is(201);
        post(pattern("2.0.0")).await.is(400);
        post(json!({"label": "p", "services": []})).await.is(400);
        let mut public = pattern("1.0.0");
        public["public"] = json!(true);
        post(public).await.is(400);
        lab.put("A/u1", "/orgs/A/patterns/p", pattern("1.0.0")).await.is(404);
        post(pattern("1.0.0")).await.is(201);
        post(pattern("1.0.0")).await.refuses(403, "already-exists");
        lab.put("A/u1", "/orgs/A/patterns/p", pattern("1.0.0")).await.is(201);
        let mut any = pattern("1.0.0");
        any["services"][0]["serviceArch"] = json!("*");
        lab.post("A/u1", "/orgs/A/deployment/patterns/q", any).await.is(201);
    }

    #[tokio::test]
    async fn a_pattern_is_told_with_all_its_defaults() {
        let lab = Lab::start().await;
        lab.post("A/u1", "/orgs/A/services", service("svc", "1.0.0", "arm")).await.is(201);
        lab.post("A/u1", "/orgs/A/patterns/p", pattern("1.0.0")).await.is(201);
        lab.get("A/u1", "/orgs/A/patterns/none").await.refuses(404, "not-found");
        let none = lab.get("A/u1", "/orgs/A/patterns?idfilter=x%25").await.is(404);
        assert_eq!(none, json!({"patterns": {}, "lastIndex": 0}));
        let list = lab.get("A/u1", "/orgs/A/patterns?idfilter=p%25").await.is(200);
        let held = &list["patterns"]["A/p"];
        assert_eq!(held["agreementProtocols"], json!([{"name": "Basic"}]));
        assert_eq!(held["services"][0]["nodeHealth"]["missing_heartbeat_interval"], 1800);
        assert_eq!((&held["clusterNamespace"], &held["public"]), (&json!(""), &json!(false)));
        assert!(held["created"].is_null());
        lab.patch("A/u1", "/orgs/A/patterns/p", json!({"label": "new"})).await.is(201);
        let only = lab.get("A/u1", "/orgs/A/patterns/p?attribute=label").await.is(200);
        assert_eq!(only["value"], "new");
        lab.delete("A/u2", "/orgs/A/patterns/p").await.is(403);
        lab.delete("A/u1", "/orgs/A/patterns/p").await.is(204);
    }
}
