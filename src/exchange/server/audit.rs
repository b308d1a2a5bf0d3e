//! Which requests of the exchange are security events.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};

use crate::audit::{self, AuditEvent, AuditLog};

/// Records the security event of a request, if it has one.
pub(super) async fn watch(
    State(log): State<Arc<AuditLog>>,
    request: Request,
    next: Next,
) -> Response {
    audit::watch(&log, deleted, request, next).await
}

/// What a successful `DELETE` of this path has deleted.
#[expect(clippy::unnecessary_wraps, reason = "other servers have paths that count for nothing")]
fn deleted(path: &str) -> Option<AuditEvent> {
    let segments: Vec<_> = path.trim_start_matches("/v1/").trim_matches('/').split('/').collect();
    Some(match segments[..] {
        ["orgs", _] => AuditEvent::OrgDeleted,
        ["orgs", _, "users", _] => AuditEvent::UserDeleted,
        ["orgs", _, "nodes", _] => AuditEvent::NodeDeleted,
        ["orgs", _, "services" | "patterns", _]
        | ["orgs", _, "business" | "deployment", "policies" | "patterns", _] => {
            AuditEvent::DocumentDeleted
        }
        _ => AuditEvent::PartDeleted,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deletion_is_named_by_what_the_path_names() {
        for (path, event) in [
            ("/v1/orgs/A", AuditEvent::OrgDeleted),
            ("/v1/orgs/A/users/u1", AuditEvent::UserDeleted),
            ("/v1/orgs/A/users/u1/apikeys/7", AuditEvent::PartDeleted),
            ("/v1/orgs/A/nodes/n1", AuditEvent::NodeDeleted),
            ("/v1/orgs/A/nodes/n1/policy", AuditEvent::PartDeleted),
            ("/v1/orgs/A/services/s_1.0.0_amd64", AuditEvent::DocumentDeleted),
            ("/v1/orgs/A/services/s_1.0.0_amd64/dockauths/1", AuditEvent::PartDeleted),
            ("/v1/orgs/A/patterns/p", AuditEvent::DocumentDeleted),
            ("/v1/orgs/A/deployment/patterns/p", AuditEvent::DocumentDeleted),
            ("/v1/orgs/A/business/policies/p", AuditEvent::DocumentDeleted),
        ] {
            assert_eq!(deleted(path), Some(event), "{path}");
        }
    }
}
