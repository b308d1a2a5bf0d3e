//! Requests of the distribution-spec against a registry on loopback.

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use super::*;
use crate::{
    image::{Descriptor, ImageManifest, Index, Manifest, RawManifest, media_type},
    types::{Digest, Secret},
};

struct Lab {
    place: tempfile::TempDir,
    server: RegistryServer,
    client: Client,
}

impl Lab {
    async fn start() -> Self {
        Self::open_to(Access::Anonymous).await
    }

    async fn open_to(access: Access) -> Self {
        let place = tempfile::tempdir().unwrap();
        let server = bind(&place, access).await;
        Self { place, server, client: Client::builder().build().unwrap() }
    }

    async fn restart(self) -> Self {
        self.server.shutdown().await;
        let server = bind(&self.place, Access::Anonymous).await;
        Self { server, ..self }
    }

    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.server.url()))
    }

    async fn get(&self, path: &str) -> Response {
        self.ask(Method::GET, path).send().await.unwrap()
    }

    async fn begin(&self, name: &str) -> String {
        let path = format!("/v2/{name}/blobs/uploads/");
        let begun = self.ask(Method::POST, &path).send().await.unwrap();
        assert_eq!(begun.status(), StatusCode::ACCEPTED);
        header(&begun, "location")
    }

    async fn push_blob(&self, name: &str, content: &'static [u8]) -> Digest {
        let digest = Digest::of(content);
        let path = format!("/v2/{name}/blobs/uploads/?digest={digest}");
        let pushed = self.ask(Method::POST, &path).body(content).send().await.unwrap();
        assert_eq!(pushed.status(), StatusCode::CREATED);
        digest
    }

    async fn push(&self, name: &str, reference: &str, manifest: &RawManifest) -> Response {
        let path = format!("/v2/{name}/manifests/{reference}");
        let request = self.ask(Method::PUT, &path).header("content-type", &manifest.media_type);
        request.body(manifest.bytes.clone()).send().await.unwrap()
    }
}

async fn bind(place: &tempfile::TempDir, access: Access) -> RegistryServer {
    let folder = place.path().to_owned();
    let listen = "127.0.0.1:0".parse().unwrap();
    RegistryServer::bind(RegistryConfig {
        folder,
        listen,
        tls: None,
        access,
        limits: ListenerLimits::default(),
    })
    .await
    .unwrap()
}

fn header(response: &Response, name: &str) -> String {
    response.headers()[name].to_str().unwrap().to_owned()
}

async fn code(response: Response) -> (StatusCode, String) {
    let status = response.status();
    let body: Value = response.json().await.unwrap();
    (status, body["errors"][0]["code"].as_str().unwrap().to_owned())
}

fn image(layers: &[&'static [u8]]) -> ImageManifest {
    let layers = layers.iter().map(|it| Descriptor::of(media_type::OCI_LAYER, it)).collect();
    ImageManifest::new(Descriptor::of(media_type::OCI_CONFIG, b"{}"), layers)
}

fn raw(image: ImageManifest) -> RawManifest {
    RawManifest::encode(&Manifest::Image(image)).unwrap()
}

#[tokio::test]
async fn what_is_pushed_comes_back_byte_for_byte() {
    let lab = Lab::start().await;
    let digest = lab.push_blob("a/b", b"{}").await;
    let manifest = raw(image(&[]));
    let pushed = lab.push("a/b", "1", &manifest).await;
    assert_eq!(pushed.status(), StatusCode::CREATED);
    assert_eq!(header(&pushed, "docker-content-digest"), manifest.digest.to_string());

    let pulled = lab.get(&header(&pushed, "location")).await;
    assert_eq!(header(&pulled, "content-type"), manifest.media_type);
    assert_eq!(header(&pulled, "docker-distribution-api-version"), "registry/2.0");
    assert_eq!(pulled.bytes().await.unwrap(), manifest.bytes);
    let head = lab.ask(Method::HEAD, "/v2/a/b/manifests/1").send().await.unwrap();
    assert_eq!(header(&head, "content-length"), manifest.bytes.len().to_string());
    let head = lab.ask(Method::HEAD, &format!("/v2/a/b/blobs/{digest}")).send().await.unwrap();
    assert_eq!(header(&head, "content-length"), "2");
    assert_eq!(header(&head, "docker-content-digest"), digest.to_string());

    let lab = lab.restart().await;
    let tags: Value = lab.get("/v2/a/b/tags/list").await.json().await.unwrap();
    assert_eq!(tags, json!({ "name": "a/b", "tags": ["1"] }));
    let catalog: Value = lab.get("/v2/_catalog").await.json().await.unwrap();
    assert_eq!(catalog, json!({ "repositories": ["a/b"] }));
}

#[tokio::test]
async fn an_upload_in_chunks_goes_on_where_it_stopped() {
    let lab = Lab::start().await;
    let location = lab.begin("app").await;
    let chunk = |lab: &Lab, range: &str, body: &'static str| {
        lab.ask(Method::PATCH, &location).header("content-range", range).body(body).send()
    };
    let first = chunk(&lab, "0-2", "hel").await.unwrap();
    assert_eq!((first.status(), header(&first, "range")), (StatusCode::ACCEPTED, "0-2".to_owned()));
    for range in ["0-1", "4-5"] {
        let misplaced = chunk(&lab, range, "xx").await.unwrap();
        assert_eq!(header(&misplaced, "range"), "0-2");
        assert_eq!(misplaced.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    }

    let lab = lab.restart().await;
    let status = lab.get(&location).await;
    assert_eq!(
        (status.status(), header(&status, "range")),
        (StatusCode::NO_CONTENT, "0-2".to_owned())
    );
    let digest = Digest::of(b"hello");
    let finish = format!("{location}?digest={digest}");
    let request = lab.ask(Method::PUT, &finish).header("content-range", "3-4").body("lo");
    assert_eq!(request.send().await.unwrap().status(), StatusCode::CREATED);
    assert_eq!(lab.get(&format!("/v2/app/blobs/{digest}")).await.text().await.unwrap(), "hello");
    assert_eq!(code(lab.get(&location).await).await.1, "BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn a_part_of_a_blob_can_be_had() {
    let lab = Lab::start().await;
    let digest = lab.push_blob("app", b"0123456789").await;
    let path = format!("/v2/app/blobs/{digest}");
    let part = lab.ask(Method::GET, &path).header("range", "bytes=3-5").send().await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(header(&part, "content-range"), "bytes 3-5/10");
    assert_eq!(part.text().await.unwrap(), "345");
    let beyond = lab.ask(Method::GET, &path).header("range", "bytes=10-").send().await.unwrap();
    assert_eq!(header(&beyond, "content-range"), "bytes */10");
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
}

#[tokio::test]
async fn a_blob_is_mounted_from_a_repository_that_has_it() {
    let lab = Lab::start().await;
    let digest = lab.push_blob("from", b"layer").await;
    assert_eq!(code(lab.get(&format!("/v2/to/blobs/{digest}")).await).await.1, "BLOB_UNKNOWN");
    let mount =
        |query: String| lab.ask(Method::POST, &format!("/v2/to/blobs/uploads/?{query}")).send();
    let elsewhere = mount(format!("mount={digest}&from=other")).await.unwrap();
    assert_eq!(elsewhere.status(), StatusCode::ACCEPTED);
    let mounted = mount(format!("mount={digest}&from=from")).await.unwrap();
    assert_eq!(mounted.status(), StatusCode::CREATED);
    let path = header(&mounted, "location");
    assert_eq!(lab.get(&path).await.text().await.unwrap(), "layer");
    let deleted = lab.ask(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(deleted.status(), StatusCode::ACCEPTED);
    assert_eq!(lab.get(&path).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(lab.get(&format!("/v2/from/blobs/{digest}")).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_manifest_needs_its_blobs_but_not_foreign_ones() {
    let lab = Lab::start().await;
    lab.push_blob("app", b"{}").await;
    let refused = lab.push("app", "1", &raw(image(&[b"absent"]))).await;
    assert_eq!(code(refused).await, (StatusCode::BAD_REQUEST, "MANIFEST_BLOB_UNKNOWN".to_owned()));
    let mut foreign = image(&[b"absent"]);
    foreign.layers[0].media_type =
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip".to_owned();
    assert_eq!(lab.push("app", "1", &raw(foreign)).await.status(), StatusCode::CREATED);
    let absent = Descriptor::of(media_type::OCI_MANIFEST, b"absent");
    let index = RawManifest::encode(&Manifest::Index(Index::new(vec![absent]))).unwrap();
    assert_eq!(code(lab.push("app", "2", &index).await).await.1, "MANIFEST_BLOB_UNKNOWN");
}

#[tokio::test]
async fn what_breaks_the_rules_is_refused_by_name() {
    let lab = Lab::start().await;
    lab.push_blob("app", b"{}").await;
    let good = raw(image(&[]));
    let relabelled = RawManifest::new(media_type::OCI_INDEX, good.bytes.clone());
    assert_eq!(code(lab.push("app", "1", &relabelled).await).await.1, "MANIFEST_INVALID");
    let other = Digest::of(b"other").to_string();
    assert_eq!(code(lab.push("app", &other, &good).await).await.1, "DIGEST_INVALID");
    let large = RawManifest::new(media_type::OCI_MANIFEST, vec![b' '; (4 << 20) + 1]);
    let refused = code(lab.push("app", "1", &large).await).await;
    assert_eq!(refused, (StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID".to_owned()));
    let wrong = format!("/v2/app/blobs/uploads/?digest={other}");
    let wrong = lab.ask(Method::POST, &wrong).body("hello").send().await.unwrap();
    assert_eq!(code(wrong).await, (StatusCode::BAD_REQUEST, "DIGEST_INVALID".to_owned()));
    for (path, expected) in [
        ("/v2/app/manifests/none", (StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN")),
        ("/v2/none/tags/list", (StatusCode::NOT_FOUND, "NAME_UNKNOWN")),
        ("/v2/UPPER/tags/list", (StatusCode::BAD_REQUEST, "NAME_INVALID")),
        ("/v2/app/blobs/sha256:00", (StatusCode::BAD_REQUEST, "DIGEST_INVALID")),
        ("/v2/app/what", (StatusCode::NOT_FOUND, "NAME_UNKNOWN")),
        ("/elsewhere", (StatusCode::NOT_FOUND, "NAME_UNKNOWN")),
    ] {
        let (status, code) = code(lab.get(path).await).await;
        assert_eq!((status, code.as_str()), expected, "{path}");
    }
}

#[tokio::test]
async fn referrers_are_listed_and_filtered() {
    let lab = Lab::start().await;
    lab.push_blob("app", b"{}").await;
    let subject = Descriptor::of(media_type::OCI_MANIFEST, b"not yet here");
    for kind in ["test/signature", "test/sbom"] {
        let mut referrer = image(&[]);
        referrer.artifact_type = Some(kind.to_owned());
        referrer.subject = Some(subject.clone());
        let referrer = raw(referrer);
        let pushed = lab.push("app", &referrer.digest.to_string(), &referrer).await;
        assert_eq!(header(&pushed, "oci-subject"), subject.digest.to_string());
    }
    let path = format!("/v2/app/referrers/{}", subject.digest);
    let all: Index = lab.get(&path).await.json().await.unwrap();
    assert_eq!(all.manifests.len(), 2);
    let some = lab.get(&format!("{path}?artifactType=test/sbom")).await;
    assert_eq!(header(&some, "oci-filters-applied"), "artifactType");
    let some: Index = some.json().await.unwrap();
    assert_eq!(some.manifests.len(), 1);
    assert_eq!(some.manifests[0].artifact_type.as_deref(), Some("test/sbom"));
}

#[tokio::test]
async fn only_who_has_an_account_comes_in() {
    let account = |user: &str, push| Account {
        user: user.to_owned(),
        password: Password::plain(Secret::new("pass")),
        push,
    };
    let accounts = vec![account("maker", true), account("node", false)];
    let lab = Lab::open_to(Access::Basic(accounts)).await;
    let stranger = lab.get("/v2/").await;
    assert!(header(&stranger, "www-authenticate").starts_with("Basic "));
    assert_eq!(code(stranger).await, (StatusCode::UNAUTHORIZED, "UNAUTHORIZED".to_owned()));
    let uploads = "/v2/app/blobs/uploads/";
    for (method, path, user, expected) in [
        (Method::GET, "/v2/", "node", StatusCode::OK),
        (Method::GET, "/v2/app/tags/list", "node", StatusCode::NOT_FOUND),
        (Method::POST, uploads, "node", StatusCode::FORBIDDEN),
        (Method::POST, uploads, "maker", StatusCode::ACCEPTED),
        (Method::POST, uploads, "thief", StatusCode::UNAUTHORIZED),
        (Method::DELETE, "/v2/app/manifests/1", "node", StatusCode::FORBIDDEN),
    ] {
        let request = lab.ask(method.clone(), path).basic_auth(user, Some("pass"));
        assert_eq!(request.send().await.unwrap().status(), expected, "{method} {path} {user}");
    }
}

#[tokio::test]
async fn nothing_can_be_pushed_to_what_is_read_only() {
    let lab = Lab::open_to(Access::ReadOnly).await;
    assert_eq!(lab.get("/v2/").await.status(), StatusCode::OK);
    let refused = lab.ask(Method::POST, "/v2/app/blobs/uploads/").send().await.unwrap();
    assert_eq!(code(refused).await, (StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED".to_owned()));
}
