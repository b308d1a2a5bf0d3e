//! Services.

use std::collections::BTreeMap;

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};

use super::{
    ApiError, AppState,
    answer::fits,
    caller::Caller,
    extract::{Body, Path},
    posted::{self, Noun},
};
use crate::{
    exchange::api::{Reply, Service, ServiceRequest, Services},
    types::OrgId,
};

/// Which services to list.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Filters {
    owner: Option<String>,
    public: Option<String>,
    url: Option<String>,
    version: Option<String>,
    arch: Option<String>,
    nodetype: Option<String>,
    requiredurl: Option<String>,
}

impl Noun for ServiceRequest {
    const LIST: &'static str = "services";
    type Filters = Filters;

    fn columns(filters: &Filters) -> Vec<(&'static str, &str)> {
        let columns =
            [("url", &filters.url), ("version", &filters.version), ("arch", &filters.arch)];
        columns.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect()
    }

    fn bad_filter(filters: &Filters) -> Option<String> {
        let known = |it: &Option<String>, words: [&str; 2]| {
            it.as_deref().is_none_or(|it| words.contains(&it))
        };
        match filters {
            _ if !known(&filters.nodetype, ["device", "cluster"]) => {
                Some("nodetype can only be device or cluster".to_owned())
            }
            _ if !known(&filters.public, ["true", "false"]) => {
                Some("public can only be true or false".to_owned())
            }
            _ => None,
        }
    }

    fn fits(filters: &Filters, _: &str, it: &Service) -> bool {
        let service = &it.value;
        let url =
            |filter| service.required_services.iter().any(|it| fits(Some(filter), it.url.as_str()));
        fits(filters.owner.as_deref(), &it.owner)
            && fits(filters.public.as_deref(), if service.public { "true" } else { "false" })
            && fits(filters.url.as_deref(), service.url.as_str())
            && fits(filters.version.as_deref(), &service.version)
            && fits(filters.arch.as_deref(), &service.arch)
            && filters.requiredurl.as_deref().is_none_or(url)
            && match filters.nodetype.as_deref() {
                Some("cluster") => !service.cluster_deployment.is_empty(),
                Some(_) => !service.deployment.is_empty(),
                None => true,
            }
    }

    fn container(services: BTreeMap<String, Service>) -> impl Serialize {
        Services { services, last_index: 0 }
    }

    fn completed(self) -> Self {
        Self::completed(self)
    }

    fn problem(&self, id: &str) -> Option<String> {
        let own = self.id();
        (own != id)
            .then(|| format!("the service is '{own}' by its url, version and arch, not '{id}'"))
            .or_else(|| Self::problem(self))
    }
}

/// Makes a service; its id follows from its url, version and arch.
pub(super) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    Path(org): Path<OrgId>,
    Body(request): Body<ServiceRequest>,
) -> Result<(StatusCode, Json<Reply>), ApiError> {
    let id = request.id();
    posted::created(&state, &caller, &org, &id, request).await
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::exchange::server::testing::{Lab, service};

    const PATH: &str = "/orgs/A/services/svc_1.0.0_arm";

    fn with(name: &str, value: Value) -> Value {
        let mut body = needing();
        body[name] = value;
        body
    }

    /// `svc` needs `https://network` 1.0.0.
    fn needing() -> Value {
        let mut body = service("svc", "1.0.0", "arm");
        body["requiredServices"] = json!([
            {"url": "https://network", "org": "A", "version": "1.0.0", "arch": "arm"}
        ]);
        body
    }

    #[tokio::test]
    async fn a_service_needs_what_it_refers_to() {
        let lab = Lab::start().await;
        let post = |body| lab.post("A/u1", "/orgs/A/services", body);
        post(needing()).await.refuses(400, "invalid-input");
        lab.put("A/u1", PATH, service("svc", "1.0.0", "arm")).await.refuses(404, "not-found");
        post(service("https://network", "1.0.0", "arm")).await.is(201);
        let odd =
            json!([{"url": "https://network", "org": "A", "version": "1.0.0", "arch": "amd64"}]);
        post(with("requiredServices", odd)).await.is(400);
        let odd = json!([{"url": "https://network", "org": "A", "arch": "arm"}]);
        post(with("requiredServices", odd)).await.is(400);
        let odd = json!([{"url": "https://network", "org": "A", "versionRange": "[2.0.0,3.0.0)", "arch": "arm"}]);
        post(with("requiredServices", odd)).await.is(400);
        let made = post(needing()).await.is(201);
        assert_eq!(
            (&made["code"], &made["msg"]),
            (&json!("ok"), &json!("service 'A/svc_1.0.0_arm' created"))
        );
        post(needing()).await.refuses(403, "already-exists");
        let held = lab.get("A/u1", PATH).await.is(200);
        let held = &held["services"]["A/svc_1.0.0_arm"];
        assert_eq!(held["requiredServices"][0]["versionRange"], "1.0.0");
        assert_eq!((&held["owner"], &held["description"]), (&json!("A/u1"), &json!("svc")));
    }

    #[tokio::test]
    async fn a_service_that_is_not_sound_is_refused() {
        let lab = Lab::start().await;
        lab.post("A/u1", "/orgs/A/services", service("svc", "1.0.0", "arm")).await.is(201);
        for (name, value) in [
            ("arch", json!("amd64")),
            ("sharable", json!("foobar")),
            ("version", json!("1.0.0-beta")),
            ("documentation", json!("no address")),
            ("deploymentSignature", json!("")),
            ("colour", json!("red")),
            ("label", Value::Null),
        ] {
            let mut body = service("svc", "1.0.0", "arm");
            body[name] = value;
            lab.put("A/u1", PATH, body).await.refuses(400, "invalid-input");
        }
        let mut nulls = service("svc", "1.0.0", "arm");
        for name in ["requiredServices", "userInput", "matchHardware"] {
            nulls[name] = Value::Null;
        }
        lab.put("A/u1", PATH, nulls).await.is(201);
    }

    #[tokio::test]
    async fn a_service_belongs_to_who_made_it() {
        let lab = Lab::start().await;
        let body = || service("svc", "1.0.0", "arm");
        lab.post("A/n1", "/orgs/A/services", body()).await.is(401);
        lab.node("n1").await;
        lab.post("A/n1:tok", "/orgs/A/services", body()).await.refuses(403, "access-denied");
        lab.post("B/bu", "/orgs/A/services", body()).await.refuses(403, "access-denied");
        lab.post("A/u1", "/orgs/A/services", body()).await.is(201);
        let refused = lab.put("A/u2", PATH, body()).await;
        refused.refuses(403, "access-denied");
        assert!(refused.text.contains("WRITE_ALL_SERVICES"));
        lab.patch("A/u2", PATH, json!({"label": "x"})).await.is(403);
        lab.delete("A/u2", PATH).await.is(403);
        lab.put("A/ad", PATH, body()).await.is(201);
        let held = lab.get("A/u1", PATH).await.is(200);
        assert_eq!(held["services"]["A/svc_1.0.0_arm"]["owner"], "A/u1");
        lab.delete("A/u1", PATH).await.is(204);
        lab.delete("A/u1", PATH).await.is(404);
    }

    #[tokio::test]
    async fn services_are_found_by_filters_and_attributes() {
        let lab = Lab::start().await;
        lab.get("A/u1", "/orgs/A/services?nodetype=foo").await.is(400);
        let none = lab.get("A/u1", "/orgs/A/services").await.is(404);
        assert_eq!(none, json!({"services": {}, "lastIndex": 0}));
        for arch in ["arm", "amd64"] {
            lab.post("A/u1", "/orgs/A/services", service("https://a.b/svc", "1.0.0", arch))
                .await
                .is(201);
        }
        let found = |query: &str| {
            let path = format!("/orgs/A/services?{query}");
            let lab = &lab;
            async move {
                let list = lab.get("A/u1", &path).await.json();
                list["services"].as_object().unwrap().keys().cloned().collect::<Vec<_>>()
            }
        };
        assert_eq!(found("url=https%3A%2F%2Fa.b%2Fsvc&arch=arm").await, ["A/a.b-svc_1.0.0_arm"]);
        assert_eq!(found("url=%25svc&version=1.0.0").await.len(), 2);
        assert_eq!(found("public=true").await.len(), 0);
        assert_eq!(found("owner=A%2Fu1&nodetype=device").await.len(), 2);
        assert_eq!(found("nodetype=cluster").await.len(), 0);
        let path = "/orgs/A/services/a.b-svc_1.0.0_arm?attribute=";
        let only = lab.get("A/u1", &format!("{path}sharable")).await.is(200);
        assert_eq!(only, json!({"attribute": "sharable", "value": "exclusive"}));
        let only = lab.get("A/u1", &format!("{path}public")).await.is(200);
        assert_eq!(only["value"], "false");
        lab.get("A/u1", &format!("{path}nothing")).await.is(400);
        lab.get("A/u1", "/orgs/A/services/svcnotthere").await.refuses(404, "not-found");
    }

    #[tokio::test]
    async fn other_organizations_see_what_is_public() {
        let lab = Lab::start().await;
        lab.get("A/u1", "/catalog/services?orgtype=IBM").await.is(200);
        lab.post("A/u1", "/orgs/A/services", service("svc", "1.0.0", "arm")).await.is(201);
        lab.get("B/bu", PATH).await.refuses(403, "access-denied");
        lab.get("B/bu", "/orgs/A/services/none").await.is(404);
        lab.get("B/bu", "/orgs/A/services").await.is(404);
        lab.patch("A/u1", PATH, json!({"public": true})).await.is(201);
        lab.patch("A/u1", PATH, json!({"arch": "amd64"})).await.is(400);
        lab.get("B/bu", PATH).await.is(200);
        lab.get("B/bu", "/orgs/A/services").await.is(200);
        let catalog = lab.get("B/bu", "/catalog/services").await.is(200);
        assert_eq!(catalog["services"].as_object().unwrap().len(), 1);
        lab.get("B/bu", "/catalog/B/services").await.is(200);
    }
}
