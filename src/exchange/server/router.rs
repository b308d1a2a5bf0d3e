//! All paths on one page.

use std::{any::Any, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{HeaderName, HeaderValue, header},
    middleware::{from_fn_with_state, map_response_with_state},
    response::{IntoResponse as _, Response},
    routing::{MethodRouter, get, post},
};
use jiff::fmt::rfc2822::DateTimePrinter;
use tower_http::{
    catch_panic::CatchPanicLayer, set_header::SetResponseHeaderLayer, trace::TraceLayer,
};

use super::{
    ApiError, AppState, admin, agreements, api_keys, audit, bodies, caller::Caller, changes,
    dock_auths, extension, extract::body_limit, keys, node_parts, nodes, orgs, posted,
    service_policies, services, users,
};
use crate::exchange::{
    api::{
        NodeErrorsRequest, NodePolicyRequest, NodeStatusRequest, PatternRequest, PolicyRequest,
        ServiceRequest, VERSION_HEADER,
    },
    store::KeyHolder,
};

/// The longest body read, unless a path says otherwise, in bytes: a definition with room to spare.
const LONGEST_BODY: usize = 1024 * 1024;
/// An agreement: anax sends a few hundred bytes.
const LONGEST_AGREEMENT: usize = 16 * 1024;
/// A node as it registers: anax sends some 500 bytes for each of its services.
const LONGEST_NODE: usize = 256 * 1024;
/// Status, errors, policy or report of a node: for each container some 200 bytes.
const LONGEST_NODE_PART: usize = 256 * 1024;
/// A public key or certificate with its chain, in PEM.
const LONGEST_KEY: usize = 64 * 1024;
/// The policy beside a service.
const LONGEST_SERVICE_POLICY: usize = 128 * 1024;
/// What is said about an organization, a user, an API key or a pull credential, and what is asked of the
/// change feed.
const LONGEST_RECORD: usize = 32 * 1024;

/// Every path of the exchange.
pub fn router(state: AppState) -> Router {
    let v1 = Router::new().merge(horizon()).merge(extension::routes());
    Router::new()
        // Its own fallback: the one below may be replaced by what stands beside the exchange.
        .nest("/v1", v1.fallback(unknown_path))
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .layer(body_limit(LONGEST_BODY))
        .layer(from_fn_with_state(Arc::clone(&state.audit), audit::watch))
        .layer(from_fn_with_state(state.clone(), bodies::keep))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(header(header::CACHE_CONTROL, "max-age=0, must-revalidate, no-cache, no-store"))
        .layer(header(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(header(HeaderName::from_static(VERSION_HEADER), env!("CARGO_PKG_VERSION")))
        .layer(TraceLayer::new_for_http())
        .layer(map_response_with_state(state.clone(), with_date))
        .with_state(state)
}

/// Adds the `Date` by the exchange's own clock: signers compare theirs with it.
async fn with_date(State(state): State<AppState>, mut response: Response) -> Response {
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&state.clock.now());
    if let Some(date) = date.ok().and_then(|it| HeaderValue::from_str(&it).ok()) {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

/// What Open Horizon's exchange has.
fn horizon() -> Router<AppState> {
    Router::new()
        .route("/admin/version", get(admin::version))
        .route("/admin/status", get(admin::status))
        .route("/admin/orgstatus", get(admin::nodes_of_orgs))
        .route("/orgs/{org}/status", get(admin::org_status))
        .route("/orgs", get(orgs::list))
        .route(
            "/orgs/{org}",
            get(orgs::get)
                .post(orgs::create)
                .put(orgs::replace)
                .patch(orgs::patch)
                .delete(orgs::delete)
                .layer(body_limit(LONGEST_RECORD)),
        )
        .route("/orgs/{org}/agbots", get(orgs::agbots))
        .route("/orgs/{org}/users", get(users::list))
        .route(
            "/orgs/{org}/users/{user}",
            get(users::get)
                .post(users::create)
                .put(users::replace)
                .patch(users::patch)
                .delete(users::delete)
                .layer(body_limit(LONGEST_RECORD)),
        )
        .route("/orgs/{org}/users/{user}/confirm", record(post(users::confirm)))
        .route("/orgs/{org}/users/{user}/changepw", record(post(users::change_password)))
        .route("/orgs/{org}/users/{user}/apikeys", record(post(api_keys::create)))
        .route("/orgs/{org}/users/{user}/apikeys/{id}", get(api_keys::get).delete(api_keys::delete))
        .merge(services())
        .merge(nodes())
        .nest("/orgs/{org}/patterns", patterns())
        .nest("/orgs/{org}/deployment/patterns", patterns())
        .nest("/orgs/{org}/business/policies", policies())
        .nest("/orgs/{org}/deployment/policies", policies())
        .route("/catalog/patterns", get(posted::catalog::<PatternRequest>))
        .route("/catalog/{org}/patterns", get(posted::catalog_of::<PatternRequest>))
        .route("/changes/maxchangeid", get(changes::newest))
        .route("/orgs/{org}/changes", record(post(changes::since)))
}

/// Services, and what hangs on one.
fn services() -> Router<AppState> {
    Router::new()
        .route("/catalog/services", get(posted::catalog::<ServiceRequest>))
        .route("/catalog/{org}/services", get(posted::catalog_of::<ServiceRequest>))
        .route("/orgs/{org}/services", get(posted::list::<ServiceRequest>).post(services::create))
        .route(
            "/orgs/{org}/services/{service}",
            get(posted::get::<ServiceRequest>)
                .put(posted::replace::<ServiceRequest>)
                .patch(posted::patch::<ServiceRequest>)
                .delete(posted::delete::<ServiceRequest>),
        )
        .route(
            "/orgs/{org}/services/{service}/policy",
            get(service_policies::get)
                .put(service_policies::put)
                .delete(service_policies::delete)
                .layer(body_limit(LONGEST_SERVICE_POLICY)),
        )
        .route(
            "/orgs/{org}/services/{service}/dockauths",
            record(get(dock_auths::list).post(dock_auths::create).delete(dock_auths::delete_all)),
        )
        .route(
            "/orgs/{org}/services/{service}/dockauths/{id}",
            record(get(dock_auths::get).put(dock_auths::replace).delete(dock_auths::delete)),
        )
        .nest("/orgs/{org}/services/{service}/keys", keys_of::<ServiceRequest>())
}

/// Nodes, and what each says about itself.
fn nodes() -> Router<AppState> {
    let node = Router::new()
        .route(
            "/",
            get(nodes::get)
                .put(nodes::put)
                .patch(nodes::patch)
                .delete(nodes::delete)
                .layer(body_limit(LONGEST_NODE)),
        )
        .route("/heartbeat", record(post(nodes::heartbeat)))
        .route("/services_configstate", record(post(nodes::config_state)))
        .route("/policy", node_part::<NodePolicyRequest>())
        .route("/status", node_part::<NodeStatusRequest>())
        .route("/errors", node_part::<NodeErrorsRequest>())
        .route("/agreements", get(agreements::list).delete(agreements::delete_all))
        .route(
            "/agreements/{id}",
            get(agreements::get)
                .put(agreements::put)
                .delete(agreements::delete)
                .layer(body_limit(LONGEST_AGREEMENT)),
        )
        .route("/msgs", get(nodes::messages));
    Router::new()
        .route("/orgs/{org}/nodes", get(nodes::list))
        .nest("/orgs/{org}/nodes/{node}", node)
}

fn node_part<T: node_parts::Told>() -> MethodRouter<AppState> {
    get(node_parts::get::<T>)
        .put(node_parts::put::<T>)
        .delete(node_parts::delete::<T>)
        .layer(body_limit(LONGEST_NODE_PART))
}

fn patterns() -> Router<AppState> {
    posted_by_name::<PatternRequest>().nest("/{id}/keys", keys_of::<PatternRequest>())
}

fn policies() -> Router<AppState> {
    posted_by_name::<PolicyRequest>()
}

fn posted_by_name<T: posted::Noun>() -> Router<AppState> {
    Router::new().route("/", get(posted::list::<T>)).route(
        "/{id}",
        get(posted::get::<T>)
            .post(posted::create::<T>)
            .put(posted::replace::<T>)
            .patch(posted::patch::<T>)
            .delete(posted::delete::<T>),
    )
}

fn keys_of<T: KeyHolder + 'static>() -> Router<AppState> {
    Router::new().route("/", get(keys::list::<T>).delete(keys::delete_all::<T>)).route(
        "/{key}",
        get(keys::get::<T>)
            .put(keys::put::<T>)
            .delete(keys::delete::<T>)
            .layer(body_limit(LONGEST_KEY)),
    )
}

/// A path whose bodies are short records.
fn record(route: MethodRouter<AppState>) -> MethodRouter<AppState> {
    route.layer(body_limit(LONGEST_RECORD))
}

/// Says nothing about paths to those who may not ask.
async fn unknown_path(_: Caller) -> ApiError {
    ApiError::NotFound("unrecognized route".to_owned())
}

async fn unknown_method(_: Caller) -> ApiError {
    ApiError::MethodNotAllowed
}

fn header(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}

/// A panic ends one request, not the server.
#[expect(clippy::needless_pass_by_value, reason = "the layer hands the panic over")]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    ApiError::internal(text.unwrap_or("a panic").to_owned()).into_response()
}

#[cfg(test)]
mod tests {
    use reqwest::Method;
    use serde_json::json;

    use crate::exchange::server::testing::Lab;

    #[tokio::test]
    async fn the_version_is_told_to_anyone() {
        let lab = Lab::bare().await;
        let answer = lab.get("", "/admin/version").await;
        assert_eq!((answer.status, answer.text.trim()), (200, "2.154.0"));
        let header = |name| answer.headers[name].to_str().unwrap().to_owned();
        assert!(header("content-type").starts_with("text/plain"));
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("edgepost-version"), env!("CARGO_PKG_VERSION"));
        assert!(header("cache-control").contains("no-store"));
    }

    #[tokio::test]
    async fn paths_are_hidden_from_those_who_may_not_ask() {
        let lab = Lab::start().await;
        for (who, expected) in [
            ("", 401),
            ("A/u1:wrong", 401),
            ("A/nobody", 401),
            ("none/u1", 401),
            ("u1", 401),
            ("A/u1", 404),
        ] {
            assert_eq!(lab.get(who, "/nosuchroute").await.status, expected, "{who}");
        }
        let refused = lab.get("A/u1:wrong", "/orgs/A").await;
        refused.refuses(401, "invalid-credentials");
        assert!(refused.headers["www-authenticate"].to_str().unwrap().starts_with("Basic"));
        let verb = lab.request("A/u1", Method::DELETE, "/admin/status");
        lab.send(verb).await.refuses(405, "method-not-allowed");
        let anonymous = lab.request("", Method::DELETE, "/admin/status");
        lab.send(anonymous).await.is(401);
    }

    #[tokio::test]
    async fn the_status_counts_what_the_caller_may_see() {
        let lab = Lab::start().await;
        let status = lab.get("A/u1", "/admin/status").await.is(200);
        assert!(status["msg"].as_str().unwrap().contains("operating normally"));
        assert_eq!(
            (&status["numberOfOrganizations"], &status["numberOfNodes"]),
            (&json!(1), &json!(0))
        );
        assert!(status["dbSchemaVersion"].is_null());
        let status = lab.get("root/root", "/admin/status").await.is(200);
        assert_eq!(status["numberOfOrganizations"], 4);
        assert!(status["dbSchemaVersion"].as_i64().unwrap() > 0);
        lab.node("n1").await;
        let status = lab.get("A/ad", "/orgs/A/status").await.is(200);
        assert_eq!(status["numberOfUnregisteredNodes"], 1);
        assert!(status["SchemaVersion"].as_i64().unwrap() > 0);
        lab.get("root/root", "/orgs/none/status").await.refuses(404, "not-found");
        lab.get("A/u1", "/admin/orgstatus").await.is(403);
        assert_eq!(lab.get("A/ad", "/admin/orgstatus").await.is(200)["nodes"], json!({"A": 1}));
    }

    #[tokio::test]
    async fn a_body_that_is_no_json_or_too_long_is_refused() {
        let lab = Lab::start().await;
        let text = lab.request("root/root", Method::POST, "/orgs/C");
        lab.send(text.header("content-type", "text/plain").body("{}")).await.is(415);
        let text = lab.request("root/root", Method::POST, "/orgs/C");
        lab.send(text.header("content-type", "application/json").body("[]")).await.is(400);
        let long = json!({"label": "x".repeat(2_000_000), "description": ""});
        lab.post("root/root", "/orgs/C", long).await.is(413);
    }

    /// Guesses at the password of `A/u1`, all at once, until some are not looked at any more.
    async fn guess(lab: &Lab) {
        let guesses: Vec<_> = (0..60).map(|it| format!("A/u1:guess{it}")).collect();
        let answers = guesses.iter().map(|it| lab.get(it, "/orgs/A"));
        let answers = futures_util::future::join_all(answers).await;
        let refused: Vec<_> = answers.iter().filter(|it| it.status == 429).collect();
        let looked_at = answers.iter().filter(|it| it.status == 401).count();
        // 20 at once, what the two hashes under way find wrong, and one for each three seconds.
        assert!(looked_at <= 26, "{looked_at}");
        assert!(answers.iter().all(|it| matches!(it.status, 401 | 429 | 503)));
        refused[0].refuses(429, "too busy");
        let pause: u64 = refused[0].headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=30).contains(&pause), "{pause}");
    }

    #[tokio::test]
    async fn guesses_at_one_name_end_and_other_names_log_in() {
        let lab = Lab::start().await;
        guess(&lab).await;
        lab.get("A/u2", "/orgs/A").await.is(200);
    }

    #[tokio::test]
    async fn successful_login_stays_valid_however_often_others_guess() {
        let lab = Lab::start().await;
        lab.get("A/u1", "/orgs/A").await.is(200);
        guess(&lab).await;
        lab.get("A/u1", "/orgs/A").await.is(200);
    }
}
