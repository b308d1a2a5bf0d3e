//! Answers that are explained, as real servers and the proxies before them give them.

use super::*;
use crate::registry::{
    client::explain::{Advice, advice},
    protocol::Reference,
};

const NGINX: &[u8] = b"<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n<body></body>\r\n</html>\r\n";

fn html(status: u16, server: &str, body: &'static [u8]) -> Response {
    with(status, &[("content-type", "text/html"), ("server", server)], body)
}

async fn asked(fake: &Fake) -> RegistryError {
    let reference: Reference = "1.0".parse().unwrap();
    client().manifest(&fake.repository(), &reference).await.unwrap_err()
}

#[tokio::test]
async fn a_proxy_that_takes_no_long_bodies_is_named_with_its_limit() {
    let fake = Fake::start(|request, _| match request.method {
        Method::PUT => html(413, "nginx/1.18.0", NGINX),
        _ => status(404),
    })
    .await;
    let raw = crate::image::RawManifest::new(crate::image::media_type::OCI_MANIFEST, "{}");
    let reference = Reference::Digest(raw.digest);
    let error = client().put_manifest(&fake.repository(), &reference, &raw).await.unwrap_err();
    assert!(matches!(error, RegistryError::Refused { status: 413, .. }), "{error}");
    assert!(
        error.to_string().ends_with(", by nginx/1.18.0: 413 Request Entity Too Large"),
        "{error}"
    );
    let advice = advice(&error).unwrap();
    assert_eq!(advice, Advice::BodyTooLong { server: Some("nginx/1.18.0".to_owned()) });
    assert!(advice.to_string().contains("client_max_body_size"), "{advice}");
}

#[tokio::test]
async fn a_web_page_is_no_registry_whatever_its_status() {
    for status in [200, 403, 404, 500] {
        let fake = Fake::start(move |_, _| {
            html(status, "Apache", b"<!doctype html><title>Sign in</title><p>Welcome</p>")
        })
        .await;
        let errors = [
            client().ping(&fake.registry()).await.unwrap_err(),
            client().tags(&fake.repository()).await.unwrap_err(),
            asked(&fake).await,
        ];
        for error in errors {
            let expected = Advice::NotARegistry { server: Some("Apache".to_owned()) };
            assert_eq!(advice(&error), Some(expected), "{status}: {error}");
            assert!(error.to_string().contains("by Apache: Sign in"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_route_that_does_not_exist_is_told_from_a_registry_that_is_down() {
    let page = b"<html><body><div><h1>Application is not available</h1></div></body></html>";
    let fake = Fake::start(move |_, _| with(503, &[("content-type", "text/html")], page)).await;
    assert_eq!(advice(&asked(&fake).await), Some(Advice::NoRoute));
    let fake = Fake::start(|_, _| with(503, &[("content-type", "text/plain")], b"busy")).await;
    assert_eq!(advice(&asked(&fake).await), None);
}

#[tokio::test]
async fn what_speaks_plainly_where_tls_is_meant_and_the_other_way_round_is_told() {
    let fake = Fake::start(|_, _| status(200)).await;
    let pem = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap().cert.pem();
    let tls = RegistryClient::new(ClientConfig {
        ca: [(fake.registry(), vec![pem])].into(),
        retry: RetryPolicy::once(),
        ..quick()
    });
    let error = tls.ping(&fake.registry()).await.unwrap_err();
    assert_eq!(advice(&error), Some(Advice::PlainHttp), "{error:?}");

    let (registry, _) = tls::with_tls(&["127.0.0.1"]).await;
    let error = client().ping(&registry).await.unwrap_err();
    assert_eq!(advice(&error), Some(Advice::SpeaksTls), "{error:?}");

    let go = Fake::start(|_, _| {
        let text = ("content-type", "text/plain; charset=utf-8");
        with(400, &[text], b"Client sent an HTTP request to an HTTPS server.\n")
    })
    .await;
    assert_eq!(advice(&asked(&go).await), Some(Advice::SpeaksTls));
}

#[tokio::test]
async fn a_registry_that_wants_a_pause_gets_it_and_is_explained_if_it_wants_more() {
    let fake = Fake::start(|_, _| {
        let body = br#"{"errors":[{"code":"TOOMANYREQUESTS","message":"pull rate limit"}]}"#;
        with(429, &[("retry-after", "0")], body)
    })
    .await;
    assert_eq!(advice(&asked(&fake).await), Some(Advice::TooManyRequests));
    assert_eq!(fake.seen().len(), 4);
}

#[tokio::test]
async fn replicas_that_do_not_share_their_uploads_are_named() {
    let fake = Fake::start(|request, _| match request.method {
        Method::POST => with(202, &[("location", "/upload?_state=signed")], b""),
        Method::HEAD => status(404),
        _ => with(
            404,
            &[],
            br#"{"errors":[{"code":"BLOB_UPLOAD_INVALID","message":"blob upload invalid"}]}"#,
        ),
    })
    .await;
    let open =
        || std::future::ready(Ok(crate::image::BlobReader::bytes(Bytes::from_static(LAYER))));
    let error = client().push_blob(&fake.repository(), &layer(), open, None).await.unwrap_err();
    assert_eq!(advice(&error), Some(Advice::LostUpload), "{error:?}");
    assert!(Advice::LostUpload.to_string().contains("REGISTRY_HTTP_SECRET"));
}
