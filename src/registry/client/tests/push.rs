use super::*;
use crate::{
    image::{BlobReader, ImageError, synthetic::SyntheticImage},
    types::Digest,
};

/// Answers the beginning of an upload; the rest is up to `put`.
async fn uploads(put: impl Fn(&Seen, usize) -> Response + Send + Sync + 'static) -> Fake {
    Fake::start(move |request, before| match request.method {
        Method::HEAD => status(404),
        Method::POST => with(202, &[("location", "/upload/1?state=a%2Bb")], b""),
        _ => put(request, before),
    })
    .await
}

fn puts(fake: &Fake) -> Vec<Seen> {
    fake.seen().into_iter().filter(|it| it.method == Method::PUT).collect()
}

async fn open_layer() -> Result<BlobReader, ImageError> {
    Ok(BlobReader::bytes(LAYER))
}

#[tokio::test]
async fn an_upload_keeps_the_query_of_its_location_and_names_its_length() {
    let fake = uploads(|_, _| status(201)).await;
    let outcome = client().push_blob(&fake.repository(), &layer(), open_layer, None).await;
    assert_eq!(outcome.unwrap(), BlobOutcome::Uploaded);
    let put = &puts(&fake)[0];
    let expected = format!("/upload/1?state=a%2Bb&digest={}", layer().digest);
    assert_eq!(put.uri.to_string(), expected);
    assert_eq!(put.header("content-length"), Some("10"));
    assert_eq!(put.body.as_deref(), Some(LAYER));
}

#[tokio::test]
async fn a_broken_upload_is_sent_again_from_its_source() {
    let fake = uploads(|_, before| match before {
        0..=2 => status(503),
        3..=4 => with(404, &[], br#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}"#),
        _ => status(201),
    })
    .await;
    let opened = Mutex::new(0);
    let open = || {
        *opened.lock().unwrap() += 1;
        open_layer()
    };
    client().push_blob(&fake.repository(), &layer(), open, None).await.unwrap();
    assert_eq!(*opened.lock().unwrap(), 2);
    assert!(puts(&fake).iter().all(|put| put.body.as_deref() == Some(LAYER)));
}

#[tokio::test]
async fn content_that_is_not_the_digests_never_leaves_whole() {
    let fake = uploads(|_, _| status(201)).await;
    let open = async || Ok::<_, ImageError>(BlobReader::bytes(&b"0123456780"[..]));
    let error = client().push_blob(&fake.repository(), &layer(), open, None).await.unwrap_err();
    assert!(matches!(error, RegistryError::WrongContent { .. }), "{error:?}");
    let short = async || Ok::<_, ImageError>(BlobReader::bytes(&LAYER[..5]));
    let error = client().push_blob(&fake.repository(), &layer(), short, None).await.unwrap_err();
    assert!(matches!(error, RegistryError::WrongSize { received: 5, .. }), "{error:?}");
    assert!(puts(&fake).iter().all(|put| put.body.is_none()));
}

#[tokio::test]
async fn a_blob_that_is_there_is_not_sent() {
    let fake = Fake::start(|_, _| with(200, &[("content-length", "10")], b"")).await;
    let outcome = client().push_blob(&fake.repository(), &layer(), open_layer, None).await;
    assert_eq!(outcome.unwrap(), BlobOutcome::Existed);
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn a_blob_is_mounted_or_else_uploaded() {
    for answer in [201, 202, 405] {
        let fake = Fake::start(move |request, _| match request.method {
            Method::HEAD => status(404),
            Method::POST if request.query().contains_key("mount") => {
                with(answer, &[("location", "/upload/1")], b"")
            }
            Method::POST => with(202, &[("location", "/upload/1")], b""),
            _ => status(201),
        })
        .await;
        let other = format!("{}/team/base", fake.address).parse().unwrap();
        let outcome =
            client().push_blob(&fake.repository(), &layer(), open_layer, Some(&other)).await;
        let mounted = BlobOutcome::Mounted { from: other };
        assert_eq!(outcome.unwrap() == mounted, answer == 201);
        let posts = fake.seen().into_iter().filter(|it| it.method == Method::POST).count();
        assert_eq!(posts, if answer == 405 { 2 } else { 1 }, "a session is used, not left open");
        let query = fake.seen()[1].query();
        assert_eq!(query["from"], "team/base");
        assert_eq!(query["mount"], layer().digest.to_string());
    }
}

#[tokio::test]
async fn an_upload_elsewhere_goes_without_authorization() {
    let storage = Fake::start(|_, _| status(201)).await;
    let target = format!("http://{}/bucket?signature=s", storage.address);
    let fake = Fake::start(move |request, _| {
        match (request.header("authorization"), request.method.clone()) {
            (None, _) => with(401, &[("www-authenticate", "Basic realm=\"x\"")], b""),
            (_, Method::HEAD) => status(404),
            _ => with(202, &[("location", &target)], b""),
        }
    })
    .await;
    let client = client_of_bob(&fake);
    client.push_blob(&fake.repository(), &layer(), open_layer, None).await.unwrap();
    let put = &storage.seen()[0];
    assert_eq!(put.header("authorization"), None);
    assert_eq!(put.query()["signature"], "s");
}

#[tokio::test]
async fn a_login_that_ends_during_an_upload_is_renewed() {
    let fake = Fake::start(|request, before| {
        if request.uri.path() == "/token" {
            return format!(r#"{{"token":"t{before}"}}"#).into_response();
        }
        let realm = format!("http://{}/token", request.header("host").unwrap());
        let challenge = format!("Bearer realm=\"{realm}\"");
        let unauthorized = with(401, &[("www-authenticate", &challenge)], b"");
        match (request.header("authorization"), request.method.clone()) {
            (None, _) | (Some("Bearer t1"), Method::PUT) => unauthorized,
            (_, Method::HEAD) => status(404),
            (_, Method::POST) => with(202, &[("location", "/upload/1")], b""),
            _ => status(201),
        }
    })
    .await;
    client().push_blob(&fake.repository(), &layer(), open_layer, None).await.unwrap();
    assert_eq!(puts(&fake).len(), 2);
}

#[tokio::test]
async fn a_registry_that_names_another_digest_is_not_believed() {
    let fake = uploads(|_, _| {
        with(201, &[("docker-content-digest", &Digest::of(b"other").to_string())], b"")
    })
    .await;
    let error = client().push_blob(&fake.repository(), &layer(), open_layer, None).await;
    assert!(matches!(error, Err(RegistryError::WrongContent { .. })), "{error:?}");
}

#[tokio::test]
async fn an_image_goes_blobs_first_and_its_tag_last() {
    let fake = uploads(|_, _| status(201)).await;
    let folder = tempfile::tempdir().unwrap();
    let layout =
        SyntheticImage::new(1).layers(3, 1000).in_folder(folder.path(), None).await.unwrap();
    let tag = "1.0".parse().unwrap();
    let (client, repository) = (client(), fake.repository());
    let pushed =
        push_image(&client, &layout, &repository, Some(&tag), &PushOptions::default(), &())
            .await
            .unwrap();
    assert_eq!((pushed.uploaded, pushed.existed), (4, 0));
    assert_eq!(pushed.digest(), layout.descriptor().digest);
    let last = fake.seen().pop().unwrap();
    assert_eq!(last.uri.path(), "/v2/team/app/manifests/1.0");
    assert_eq!(last.body.unwrap(), pushed.root.bytes);
}

/// Whatever waits for a registry can be given to another thread: it need not run to compile.
fn everything_can_be_spawned(client: &RegistryClient, source: &dyn crate::image::ImageSource) {
    let (repository, registry) = ("a.b/c".parse::<Repository>().unwrap(), Registry::docker_hub());
    let options = PushOptions::default();
    let (reference, descriptor) = ("latest".parse().unwrap(), layer());
    can_be_spawned(push_image(client, source, &repository, None, &options, &()));
    can_be_spawned(client.ping(&registry));
    can_be_spawned(client.tags(&repository));
    can_be_spawned(client.manifest(&repository, &reference));
    can_be_spawned(client.head_manifest(&repository, &reference));
    can_be_spawned(client.has_blob(&repository, &descriptor.digest));
    can_be_spawned(client.open_blob(&repository, &descriptor, 0));
    can_be_spawned(client.small_blob(&repository, &descriptor, 10));
    can_be_spawned(client.push_blob(&repository, &descriptor, open_layer, None));
    let image = "a.b/c:1".parse().unwrap();
    let (wanted, packing) = (crate::image::Wanted::Image(&image), crate::image::Packing::default());
    can_be_spawned(crate::image::archive::open(std::path::Path::new(""), wanted, &packing));
    let engine = "tcp://127.0.0.1:1".parse().unwrap();
    can_be_spawned(crate::image::engine::open(&engine, &image, &packing));
}

fn can_be_spawned<F: Future + Send>(future: F) {
    drop(future);
}

#[tokio::test]
async fn every_future_can_be_spawned() {
    let folder = tempfile::tempdir().unwrap();
    let layout = SyntheticImage::new(1).in_folder(folder.path(), None).await.unwrap();
    everything_can_be_spawned(&client(), &layout);
}

#[tokio::test]
async fn foreign_layers_that_a_registry_refuses_are_explained() {
    use crate::{
        image::{ImageManifest, Manifest, RawManifest, media_type},
        registry::protocol::Reference,
    };

    let fake = Fake::start(|_, _| {
        with(500, &[], br#"{"errors":[{"code":"UNKNOWN","message":"invalid URL on layer"}]}"#)
    })
    .await;
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    let image = ImageManifest::new(
        Descriptor::of(media_type::DOCKER_CONFIG, b"{}"),
        vec![Descriptor::of(foreign, LAYER)],
    );
    let raw = RawManifest::encode(&Manifest::Image(image)).unwrap();
    let reference = Reference::Digest(raw.digest);
    let error = client().put_manifest(&fake.repository(), &reference, &raw).await.unwrap_err();
    assert!(matches!(error, RegistryError::ForeignLayers { .. }), "{error:?}");
    assert_eq!(fake.seen().len(), 1, "the answer would be the same");
}
