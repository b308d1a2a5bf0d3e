//! All paths on one page.

use std::any::Any;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderName, HeaderValue, Response, header},
    response::IntoResponse as _,
    routing::{get, post},
};
use tower_http::{
    catch_panic::CatchPanicLayer, set_header::SetResponseHeaderLayer, trace::TraceLayer,
};

use super::{ApiError, AppState, admin, caller::Caller, changes};
use crate::exchange::api::VERSION_HEADER;

/// The longest body read, unless a path says otherwise: a definition with room to spare.
const LONGEST_BODY: usize = 1024 * 1024;

/// Every path of the exchange.
pub fn router(state: AppState) -> Router {
    let v1 = Router::new().merge(horizon());
    Router::new()
        .nest("/v1", v1)
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(header(header::CACHE_CONTROL, "max-age=0, must-revalidate, no-cache, no-store"))
        .layer(header(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(header(HeaderName::from_static(VERSION_HEADER), env!("CARGO_PKG_VERSION")))
        .layer(TraceLayer::new_for_http())
        .with_state(state)
}

/// What Open Horizon's exchange has.
fn horizon() -> Router<AppState> {
    Router::new()
        .route("/admin/version", get(admin::version))
        .route("/admin/status", get(admin::status))
        .route("/changes/maxchangeid", get(changes::newest))
        .route("/orgs/{org}/changes", post(changes::since))
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
fn panicked(panic: Box<dyn Any + Send>) -> Response<axum::body::Body> {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    ApiError::internal(text.unwrap_or("a panic").to_owned()).into_response()
}
