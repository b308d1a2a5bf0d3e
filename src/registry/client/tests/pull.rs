use tokio::io::AsyncReadExt as _;

use super::*;
use crate::{
    image::{RawManifest, media_type},
    registry::protocol::Reference,
    types::Digest,
};

async fn all(mut stream: BlobStream) -> Result<Vec<u8>, RegistryError> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes).await {
        Ok(_) => Ok(bytes),
        Err(error) => Err(error.downcast().unwrap()),
    }
}

#[tokio::test]
async fn a_redirect_to_another_origin_drops_authorization() {
    let storage = Fake::start(|_, _| with(200, &[], LAYER)).await;
    let target = format!("http://{}/signed?sig=1", storage.address);
    let fake = Fake::start(move |request, _| match request.header("authorization") {
        None => with(401, &[("www-authenticate", "Basic realm=\"x\"")], b""),
        Some(_) if request.uri.path() == "/v2/moved" => with(307, &[("location", &target)], b""),
        Some(_) => with(307, &[("location", "/v2/moved")], b""),
    })
    .await;
    let client = client_of_bob(&fake);
    let stream = client.open_blob(&fake.repository(), &layer(), 0).await.unwrap();
    assert_eq!(all(stream).await.unwrap(), LAYER);
    assert_eq!(storage.seen()[0].header("authorization"), None);
    assert!(fake.seen()[2].header("authorization").is_some(), "the same origin keeps it");
}

#[tokio::test]
async fn authorization_does_not_come_back_by_a_second_redirect() {
    let fake_address = Arc::new(Mutex::new(String::new()));
    let home = Arc::clone(&fake_address);
    let evil = Fake::start(move |_, _| {
        let target = format!("http://{}/v2/secret", home.lock().unwrap());
        with(307, &[("location", &target)], b"")
    })
    .await;
    let target = format!("http://{}/", evil.address);
    let fake = Fake::start(move |request, _| match request.header("authorization") {
        Some(_) => with(307, &[("location", &target)], b""),
        None if request.uri.path() == "/v2/secret" => with(200, &[], LAYER),
        None => with(401, &[("www-authenticate", "Basic realm=\"x\"")], b""),
    })
    .await;
    *fake_address.lock().unwrap() = fake.address.to_string();
    client_of_bob(&fake).open_blob(&fake.repository(), &layer(), 0).await.unwrap();
    let last = fake.seen().pop().unwrap();
    assert_eq!((last.uri.path(), last.header("authorization")), ("/v2/secret", None));
}

#[tokio::test]
async fn endless_redirects_end() {
    let fake = Fake::start(|_, _| with(307, &[("location", "/again")], b"")).await;
    let error = client().open_blob(&fake.repository(), &layer(), 0).await;
    assert!(matches!(error, Err(RegistryError::Protocol { .. })));
    assert!(fake.seen().len() <= 12);
}

#[tokio::test]
async fn a_download_goes_on_from_its_offset() {
    let fake = Fake::start(|request, _| match request.header("range") {
        Some("bytes=4-") => with(206, &[("content-range", "bytes 4-9/10")], &LAYER[4..]),
        // This server knows no ranges.
        Some("bytes=6-") => with(200, &[], LAYER),
        Some("bytes=8-") => with(206, &[("content-range", "bytes 0-9/10")], LAYER),
        Some("bytes=9-") => with(416, &[("content-range", "bytes */5")], b""),
        other => panic!("{other:?}"),
    })
    .await;
    let (client, repository) = (client(), fake.repository());
    let open = |from| client.open_blob(&repository, &LAYER_DESCRIPTOR, from);
    for from in [4, 6, 10] {
        let bytes = all(open(from).await.unwrap()).await.unwrap();
        assert_eq!(bytes, LAYER[usize::try_from(from).unwrap()..]);
    }
    assert!(matches!(open(8).await, Err(RegistryError::Protocol { .. })));
    assert!(matches!(open(9).await, Err(RegistryError::WrongSize { .. })));
    assert!(matches!(open(11).await, Err(RegistryError::WrongSize { .. })));
}

static LAYER_DESCRIPTOR: std::sync::LazyLock<Descriptor> = std::sync::LazyLock::new(layer);

#[tokio::test]
async fn a_blob_that_is_longer_or_shorter_is_refused() {
    let fake = Fake::start(|_, before| match before {
        0 => with(200, &[], b"01234567890"),
        // Without a length beforehand.
        1 => Body::from_stream(futures_util::stream::iter([Ok::<_, std::io::Error>(
            Bytes::from_static(b"01234567890"),
        )]))
        .into_response(),
        _ => Body::from_stream(futures_util::stream::iter([Ok::<_, std::io::Error>(
            Bytes::from_static(b"0123"),
        )]))
        .into_response(),
    })
    .await;
    let (client, repository) = (client(), fake.repository());
    let error = client.open_blob(&repository, &layer(), 0).await.unwrap_err();
    assert!(matches!(error, RegistryError::WrongSize { received: 11, .. }));
    for received in [11, 4] {
        let stream = client.open_blob(&repository, &layer(), 0).await.unwrap();
        let error = all(stream).await.unwrap_err();
        assert!(
            matches!(error, RegistryError::WrongSize { received: it, .. } if it == received),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_small_blob_is_verified() {
    let fake = Fake::start(|_, _| with(200, &[], b"other-----")).await;
    let error = client().small_blob(&fake.repository(), &layer(), 100).await.unwrap_err();
    assert!(matches!(error, RegistryError::WrongContent { .. }));
    let error = client().small_blob(&fake.repository(), &layer(), 9).await.unwrap_err();
    assert!(matches!(error, RegistryError::TooLarge { .. }));
}

#[tokio::test]
async fn a_manifest_with_another_digest_is_refused() {
    let fake = Fake::start(|request, _| {
        let lie = Digest::of(b"lie").to_string();
        let json = ("content-type", media_type::OCI_MANIFEST);
        if request.uri.path().ends_with("latest") {
            with(200, &[json, ("docker-content-digest", &lie)], b"{}")
        } else {
            with(200, &[json], b"{}")
        }
    })
    .await;
    for reference in ["latest".to_owned(), Digest::of(b"asked").to_string()] {
        let reference: Reference = reference.parse().unwrap();
        let error = client().manifest(&fake.repository(), &reference).await.unwrap_err();
        assert!(matches!(error, RegistryError::WrongContent { .. }), "{error:?}");
    }
    let right = Reference::Digest(Digest::of(b"{}"));
    let raw = client().manifest(&fake.repository(), &right).await.unwrap();
    assert_eq!(raw, RawManifest::new(media_type::OCI_MANIFEST, "{}"));
}

#[tokio::test]
async fn a_manifest_too_large_is_not_read() {
    static LARGE: [u8; 4 * 1024 * 1024 + 1] = [b' '; 4 * 1024 * 1024 + 1];
    let fake = Fake::start(|_, before| {
        let media_type = media_type::OCI_MANIFEST;
        if before == 0 {
            return with(200, &[("content-type", media_type)], &LARGE);
        }
        let endless = futures_util::stream::repeat_with(|| {
            Ok::<_, std::io::Error>(Bytes::from_static(&LARGE))
        });
        let mut response = Body::from_stream(endless).into_response();
        response.headers_mut().insert("content-type", media_type.parse().unwrap());
        response
    })
    .await;
    let latest = "latest".parse().unwrap();
    for _ in 0..2 {
        let error = client().manifest(&fake.repository(), &latest).await.unwrap_err();
        assert!(matches!(error, RegistryError::TooLarge { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_what_may_not_is_not() {
    let fake = Fake::start(|request, before| match (request.uri.path(), before) {
        ("/v2/", 0) => with(429, &[("retry-after", "0")], b""),
        ("/v2/", 1) => status(503),
        ("/v2/", _) => status(200),
        _ => with(400, &[], br#"{"errors":[{"code":"NAME_INVALID","message":"no\u001b[2J"}]}"#),
    })
    .await;
    client().ping(&fake.registry()).await.unwrap();
    assert_eq!(fake.seen().len(), 3);
    let error = client().tags(&fake.repository()).await.unwrap_err();
    assert!(error.to_string().ends_with("answered 400 NAME_INVALID: no[2J"), "{error}");
    assert_eq!(fake.seen().len(), 4);
}

#[tokio::test]
async fn a_silent_registry_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let registry: Registry = listener.local_addr().unwrap().to_string().parse().unwrap();
    let config = ClientConfig {
        retry: RetryPolicy::once(),
        stall: Duration::from_millis(50),
        ..ClientConfig::default()
    };
    let error = RegistryClient::new(config).ping(&registry).await.unwrap_err();
    assert!(matches!(error, RegistryError::Timeout { .. }));
    drop(listener);
    let error = client().ping(&registry).await.unwrap_err();
    assert!(matches!(error, RegistryError::Unreachable { .. }));
}
