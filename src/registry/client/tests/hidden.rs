//! Registries that hide what is private, and questions that they do not answer.

use super::*;
use crate::{
    image::{BlobReader, RawManifest, media_type},
    registry::protocol::Reference,
};

const BASIC_BOB: &str = "Basic Ym9iOmNhbmFyeQ==";

fn raw() -> RawManifest {
    RawManifest::new(media_type::OCI_MANIFEST, "{}")
}

fn manifest() -> Response {
    with(200, &[("content-type", media_type::OCI_MANIFEST)], b"{}")
}

/// A registry that answers anonymous requests by `status` without a challenge, and asks at `/v2/` alone.
async fn hiding(anonymous: u16, scheme: &'static str) -> Fake {
    Fake::start(move |request, _| {
        let host = request.header("host").unwrap();
        let path = request.uri.path();
        match (path, request.header("authorization")) {
            ("/token", Some(BASIC_BOB)) => r#"{"token":"t"}"#.into_response(),
            ("/token", _) => status(401),
            (_, Some(BASIC_BOB)) if scheme == "Basic" => manifest(),
            (_, Some("Bearer t")) if scheme == "Bearer" => manifest(),
            ("/v2/", _) => {
                let challenge = format!("{scheme} realm=\"http://{host}/token\"");
                with(401, &[("www-authenticate", &challenge)], b"")
            }
            _ => status(anonymous),
        }
    })
    .await
}

#[tokio::test]
async fn a_login_is_sent_to_a_registry_that_hides_instead_of_asking() {
    for anonymous in [401, 403, 404] {
        for scheme in ["Basic", "Bearer"] {
            let fake = hiding(anonymous, scheme).await;
            let (bob, repository) = (client_of_bob(&fake), fake.repository());
            let found = bob.manifest(&repository, &Reference::Digest(raw().digest)).await.unwrap();
            assert_eq!(found.digest, raw().digest, "{anonymous} {scheme}");
            let asked = fake.seen().len();
            bob.manifest(&repository, &Reference::Digest(raw().digest)).await.unwrap();
            assert_eq!(fake.seen().len(), asked + 1, "the second request carries the login");
        }
    }
}

#[tokio::test]
async fn a_registry_that_hides_nothing_is_asked_once_how_it_wants_a_login() {
    let fake = Fake::start(|request, _| match request.uri.path() {
        "/v2/" => status(200),
        _ => status(404),
    })
    .await;
    let bob = client_of_bob(&fake);
    for _ in 0..3 {
        assert!(bob.has_blob(&fake.repository(), &layer().digest).await.unwrap().is_none());
    }
    let bases = fake.seen().iter().filter(|it| it.uri.path() == "/v2/").count();
    assert_eq!((bases, fake.seen().len()), (1, 4));
    let nobody = client();
    nobody.has_blob(&fake.repository(), &layer().digest).await.unwrap();
    assert_eq!(fake.seen().len(), 5, "without a login there is nothing to ask");
}

#[tokio::test]
async fn a_push_needs_no_answer_to_its_questions() {
    for refused in [403, 404, 405, 501] {
        let fake = Fake::start(move |request, _| match request.method {
            Method::HEAD => status(refused),
            Method::GET => status(403),
            Method::POST => with(202, &[("location", "/upload")], b""),
            _ => status(201),
        })
        .await;
        let (client, repository) = (client(), fake.repository());
        let reference = Reference::Digest(raw().digest);
        assert!(client.known_manifest(&repository, &reference).await.unwrap().is_none());
        let open = || std::future::ready(Ok(BlobReader::bytes(Bytes::from_static(LAYER))));
        let outcome = client.push_blob(&repository, &layer(), open, None).await.unwrap();
        assert_eq!(outcome, BlobOutcome::Uploaded, "{refused}");
    }
}

#[tokio::test]
async fn a_manifest_that_no_head_describes_is_asked_for_by_get() {
    for refused in [403, 405, 501] {
        let fake = Fake::start(move |request, _| match request.method {
            Method::HEAD => status(refused),
            _ => manifest(),
        })
        .await;
        let reference = Reference::Digest(raw().digest);
        let found = client().head_manifest(&fake.repository(), &reference).await.unwrap();
        assert_eq!(found.unwrap().digest, raw().digest, "{refused}");
    }
    let fake = Fake::start(|_, _| status(403)).await;
    let error = client().head_manifest(&fake.repository(), &Reference::Digest(raw().digest)).await;
    assert!(matches!(error, Err(RegistryError::Denied { .. })), "{error:?}");
}
