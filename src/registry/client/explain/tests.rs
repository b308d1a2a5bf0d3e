use super::*;
use crate::registry::client::Place;

fn place(registry: &str) -> Place {
    Place::Repository(format!("{registry}/team/app").parse().unwrap())
}

fn refusal(registry: &str, status: u16, code: Option<ErrorCode>, message: &str) -> RegistryError {
    let message = message.to_owned();
    RegistryError::Refused { place: place(registry), status, code, message, retry_after: None }
}

fn denial(registry: &str, message: &str) -> RegistryError {
    RegistryError::Denied { place: place(registry), message: message.to_owned() }
}

fn absence(registry: &str, message: &str) -> RegistryError {
    let (what, message) = ("manifest 1.0".to_owned(), message.to_owned());
    RegistryError::NotFound { place: place(registry), what, message }
}

#[test]
fn known_answers_have_their_advice() {
    const HUB: &str = "registry.example:5000";
    const AZURE: &str = "site.azurecr.io";
    const IBM: &str = "de.icr.io";
    const OPENSHIFT: &str = "default-route-openshift-image-registry.apps.site.example";
    let nginx = alien_words(Some("nginx/1.18.0"), "<html><head><title>413 Too Large</title>");
    let router = alien_words(None, "<h1>Application is not available</h1>");
    let page = alien_words(Some("Apache"), "<TITLE>\n Sign  in</TITLE>");
    let by = |server: &str| Some(server.to_owned());
    let unknown = Some(ErrorCode::Other("UNKNOWN".to_owned()));
    for (error, expected) in [
        (RegistryError::ForeignLayers { place: place(HUB) }, Some(Advice::ForeignLayers)),
        (denial(AZURE, ""), Some(Advice::NewGrant)),
        (
            RegistryError::Unauthorized {
                registry: AZURE.parse().unwrap(),
                user: by("app"),
                others: Vec::new(),
            },
            Some(Advice::LogIn(Cloud::Azure)),
        ),
        (
            RegistryError::Unauthorized {
                registry: IBM.parse().unwrap(),
                user: None,
                others: Vec::new(),
            },
            Some(Advice::LogIn(Cloud::Ibm)),
        ),
        (
            RegistryError::Unauthorized {
                registry: HUB.parse().unwrap(),
                user: None,
                others: Vec::new(),
            },
            Some(Advice::LogInTo(HUB.parse().unwrap())),
        ),
        (
            RegistryError::Unauthorized {
                registry: HUB.parse().unwrap(),
                user: None,
                others: vec!["a.example".to_owned()],
            },
            Some(Advice::OtherLogin {
                registry: HUB.parse().unwrap(),
                others: vec!["a.example".to_owned()],
            }),
        ),
        (denial("docker.io", "denied"), Some(Advice::HubIsMeant(HubProblem::Denied))),
        (absence("docker.io", ""), Some(Advice::HubIsMeant(HubProblem::Absent))),
        (refusal(HUB, 404, Some(ErrorCode::BlobUploadUnknown), ""), Some(Advice::LostUpload)),
        (refusal(HUB, 413, None, &nginx), Some(Advice::BodyTooLong { server: by("nginx/1.18.0") })),
        (refusal(HUB, 413, None, ""), Some(Advice::BodyTooLong { server: None })),
        (denial(HUB, "its token allows `pull`, and not `push`"), Some(Advice::PullOnly)),
        (refusal(OPENSHIFT, 503, None, &router), Some(Advice::NoRoute)),
        (refusal(OPENSHIFT, 503, None, &alien_words(None, "")), Some(Advice::NoRoute)),
        (refusal(OPENSHIFT, 503, None, "no room"), None),
        (denial(OPENSHIFT, "requested access to the resource is denied"), Some(Advice::NoProject)),
        (denial(IBM, "the namespace is not known to you"), Some(Advice::NoNamespace)),
        (absence(IBM, ""), Some(Advice::NoNamespace)),
        (denial(IBM, "You have used up your quota for storage"), Some(Advice::Quota)),
        (refusal(HUB, 507, None, "the registry's disk is full"), Some(Advice::Quota)),
        (
            refusal(HUB, 429, Some(ErrorCode::TooManyRequests), "slow down"),
            Some(Advice::TooManyRequests),
        ),
        (
            refusal(HUB, 500, Some(ErrorCode::ManifestBlobUnknown), "blob unknown to registry"),
            Some(Advice::LostBlobs),
        ),
        (refusal(HUB, 500, unknown, "unknown error"), None),
        (absence(HUB, &page), Some(Advice::NotARegistry { server: by("Apache") })),
        (refusal(HUB, 404, None, &page), Some(Advice::NotARegistry { server: by("Apache") })),
        (absence(HUB, "404 page not found"), None),
        (
            refusal(HUB, 400, None, "Client sent an HTTP request to an HTTPS server."),
            Some(Advice::SpeaksTls),
        ),
        (RegistryError::NoDeletion { place: place(HUB) }, Some(Advice::NoDeletion(Host::Other))),
        (RegistryError::NoDeletion { place: place(AZURE) }, Some(Advice::NoDeletion(Host::Azure))),
    ] {
        assert_eq!(advice(&error), expected, "{error}");
        if let Some(advice) = expected {
            let text = advice.to_string();
            assert!(text.len() > 40 && !text.contains("  "), "{text}");
        }
    }
}

#[test]
fn an_image_of_schema_1_is_told_as_such() {
    let schema1 = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    let source = crate::image::RawManifest::new(schema1, "{}").parse().unwrap_err();
    let error = RegistryError::Manifest { place: place("a.b"), source };
    assert_eq!(advice(&error), Some(Advice::Schema1));
}
