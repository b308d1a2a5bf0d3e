//! Deployment policies.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{answer::fits, posted::Noun};
use crate::exchange::api::{Policies, Policy, PolicyRequest};

/// Which policies to list.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Filters {
    idfilter: Option<String>,
    owner: Option<String>,
    label: Option<String>,
    description: Option<String>,
}

impl Noun for PolicyRequest {
    const LIST: &'static str = "businessPolicy";
    type Filters = Filters;

    fn fits(filters: &Filters, id: &str, it: &Policy) -> bool {
        let (_, id) = id.split_once('/').unwrap_or_default();
        fits(filters.idfilter.as_deref(), id)
            && fits(filters.owner.as_deref(), &it.owner)
            && fits(filters.label.as_deref(), &it.value.label)
            && fits(filters.description.as_deref(), &it.value.description)
    }

    fn container(policies: BTreeMap<String, Policy>) -> impl Serialize {
        Policies { policies, last_index: 0 }
    }

    fn completed(self) -> Self {
        self
    }

    fn problem(&self, _: &str) -> Option<String> {
        Self::problem(self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::exchange::server::testing::{Lab, service};

    fn policy(arch: &str) -> Value {
        json!({"label": "b", "service": {
            "name": "svc", "org": "A", "arch": arch, "serviceVersions": [{"version": "1.0.0"}]
        }, "properties": [{"name": "purpose", "value": "test"}], "constraints": ["a == b"]})
    }

    #[tokio::test]
    async fn a_policy_deploys_a_service_that_exists() {
        let lab = Lab::start().await;
        let path = "/orgs/A/business/policies/b";
        lab.post("A/u1", path, policy("arm")).await.refuses(400, "invalid-input");
        lab.post("A/u1", "/orgs/A/services", service("svc", "1.0.0", "arm")).await.is(201);
        lab.post("A/u1", path, policy("arm")).await.is(201);
        lab.post("A/u1", path, policy("arm")).await.refuses(403, "already-exists");
        lab.put("A/u1", path, policy("arm")).await.is(201);
        lab.put("A/u1", "/orgs/A/business/policies/none", policy("arm")).await.is(404);
        lab.post("A/u1", "/orgs/A/deployment/policies/any", policy("*")).await.is(201);
        let mut left_out = policy("arm");
        left_out["service"].as_object_mut().unwrap().remove("arch");
        lab.post("A/u1", "/orgs/A/business/policies/left", left_out).await.is(201);
        let list = lab.get("A/u1", "/orgs/A/deployment/policies").await.is(200);
        assert_eq!(list["businessPolicy"].as_object().unwrap().len(), 3);
        let held = &list["businessPolicy"]["A/left"];
        assert_eq!(held["service"]["arch"], "*");
        assert_eq!(held["service"]["nodeHealth"]["check_agreement_status"], 1800);
        assert_eq!(held["created"], held["lastUpdated"]);
    }

    #[tokio::test]
    async fn a_policy_is_changed_by_its_owner() {
        let lab = Lab::start().await;
        let path = "/orgs/A/business/policies/b";
        lab.post("A/u1", "/orgs/A/services", service("svc", "1.0.0", "arm")).await.is(201);
        lab.post("A/u1", path, policy("arm")).await.is(201);
        lab.patch("A/u1", path, json!({"constraints": ["x == y"]})).await.is(201);
        lab.patch("A/u2", path, json!({"constraints": []})).await.is(403);
        lab.patch("A/u1", path, json!({"nothing": []})).await.is(400);
        let held = lab.get("A/u2", path).await.is(200);
        assert_eq!(held["businessPolicy"]["A/b"]["constraints"], json!(["x == y"]));
        lab.get("B/bu", path).await.is(403);
        lab.delete("A/ad", path).await.is(204);
        lab.get("A/u1", path).await.refuses(404, "not-found");
    }
}
