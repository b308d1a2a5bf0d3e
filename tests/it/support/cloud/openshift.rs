//! The registry within an OpenShift cluster: the password is a token of the cluster, whoever the user
//! is said to be, and the token that is sold for it is the same again.

use std::path::Path;

use axum::response::Response;
use serde_json::json;

use super::{Asked, Cloud, Mint, Right, Ways, answer, refused};

/// The registry's default route.
pub const HOST: &str = "default-route-openshift-image-registry.apps.plant.example";
/// A service account that may push in the project `line`.
pub const PUSHER: &str = "system:serviceaccount:line:pusher";
/// One that may pull there.
pub const PULLER: &str = "system:serviceaccount:line:puller";
/// Somebody who may do everything, also with projects that do not exist.
pub const ADMIN: &str = "kube:admin";

/// The cluster, which makes tokens of accounts.
pub fn cluster() -> Mint {
    Mint::new("cluster")
}

/// Starts one that has the project `line`.
pub fn start(folder: &Path) -> Cloud {
    Cloud::start(folder, HOST, OpenShift)
}

/// What the cluster's router says of a host that it has no route for.
pub const NO_ROUTE: &str = "<html>\n  <head>\n    <meta name=\"viewport\" content=\"width=device-width\">\n  </head>\n  <body>\n    <div>\n\
      <h1>Application is not available</h1>\n      <p>The application is currently not serving requests at this endpoint.</p>\n\
    </div>\n  </body>\n</html>\n";

struct OpenShift;

impl Ways for OpenShift {
    fn realm(&self) -> &'static str {
        "/openshift/token"
    }

    fn service(&self) -> Option<String> {
        None
    }

    fn sell(&self, asked: &Asked) -> Option<Response> {
        if asked.path != self.realm() {
            return None;
        }
        let token = match &asked.login {
            None => "anonymous".to_owned(),
            Some((_, token)) if cluster().read(token).is_some() => token.clone(),
            Some(_) => return Some(refused(401, "authentication required")),
        };
        Some(answer(200, &json!({"token": token, "access_token": token})))
    }

    fn rights(&self, token: &str) -> Option<Vec<Right>> {
        let said = cluster().read(token)?;
        let right = match said["sub"].as_str()? {
            PUSHER => ("line/", "pull,push"),
            PULLER => ("line/", "pull"),
            ADMIN => ("", "pull,push,delete"),
            _ => return Some(Vec::new()),
        };
        Some(vec![(right.0.to_owned(), right.1.to_owned())])
    }

    fn refuse(&self, repository: &str, _: &str) -> Option<Response> {
        let project = repository.split('/').next().filter(|it| !["", "line"].contains(it))?;
        let message = format!("namespaces \"{project}\" not found");
        Some(answer(404, &json!({"errors": [{"code": "NAME_UNKNOWN", "message": message}]})))
    }
}
