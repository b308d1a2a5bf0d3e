//! Tags, repositories, referrers and deletion against servers of every kind.

use super::*;
use crate::{
    image::{ImageManifest, Index, Manifest, RawManifest, media_type},
    registry::protocol::Reference,
    types::{Digest, Tag},
};

fn names(tags: &[Tag]) -> Vec<&str> {
    tags.iter().map(Tag::as_str).collect()
}

#[tokio::test]
async fn a_list_is_read_to_its_last_page_by_relative_and_absolute_links() {
    let fake = Fake::start(|request, _| {
        let host = request.header("host").unwrap();
        match request.query().get("last").map(String::as_str) {
            None => with(
                200,
                &[("link", "</v2/team/app/tags/list?n=2&last=b>; rel=\"next\"")],
                br#"{"name":"team/app","tags":["a","b"]}"#,
            ),
            Some("b") => {
                let link = format!(
                    "<http://{host}/first>; rel=first, <http://{host}/v2/team/app/tags/list?last=d>; rel=next"
                );
                with(200, &[("link", &link)], br#"{"tags":["c","d","not a tag"]}"#)
            }
            Some(_) => with(200, &[], br#"{"tags":["e"]}"#),
        }
    })
    .await;
    let tags = client().tags(&fake.repository()).await.unwrap();
    assert_eq!(names(&tags), ["a", "b", "c", "d", "e"]);
    assert_eq!(fake.seen()[0].query()["n"], "1000");
}

#[tokio::test]
async fn a_page_elsewhere_is_not_asked_for() {
    let evil = Fake::start(|_, _| with(200, &[], br#"{"tags":["evil"]}"#)).await;
    let link = format!("<http://{}/v2/team/app/tags/list>; rel=\"next\"", evil.address);
    let fake = Fake::start(move |_, _| with(200, &[("link", &link)], br#"{"tags":["a"]}"#)).await;
    let error = client_of_bob(&fake).tags(&fake.repository()).await.unwrap_err();
    assert!(error.to_string().contains("the next page of its list is elsewhere"), "{error}");
    assert!(evil.seen().is_empty());
}

#[tokio::test]
async fn a_list_in_a_circle_and_one_without_end_are_told_apart() {
    let circle = Fake::start(|_, before| {
        let link = format!("</v2/team/app/tags/list?last={}>; rel=next", before % 3);
        with(200, &[("link", &link)], br#"{"tags":[]}"#)
    })
    .await;
    let error = client().tags(&circle.repository()).await.unwrap_err();
    assert!(error.to_string().contains("goes in a circle"), "{error}");
    assert!(circle.seen().len() <= 5);

    let endless = Fake::start(|_, before| {
        let link = format!("</v2/team/app/tags/list?last={before}>; rel=next");
        with(200, &[("link", &link)], br#"{"tags":["a"]}"#)
    })
    .await;
    let error = client().tags(&endless.repository()).await.unwrap_err();
    assert!(error.to_string().contains("does not end"), "{error}");
    assert_eq!(endless.seen().len(), 1000);
}

#[tokio::test]
async fn a_registry_that_refuses_the_length_of_a_page_may_choose_it() {
    let fake = Fake::start(|request, _| {
        if request.query().contains_key("n") {
            let body = br#"{"errors":[{"code":"PAGINATION_NUMBER_INVALID","message":"invalid"}]}"#;
            with(400, &[], body)
        } else {
            with(200, &[], br#"{"repositories":["a","team/b","Not-A-Name"]}"#)
        }
    })
    .await;
    let found = client().repositories(&fake.registry()).await.unwrap();
    let expected: Vec<Repository> = ["a", "team/b"]
        .iter()
        .map(|name| format!("{}/{name}", fake.address).parse().unwrap())
        .collect();
    assert_eq!(found, expected);
}

/// Something that is said about `subject`.
fn note(subject: &Digest, kind: &str) -> RawManifest {
    let mut image = ImageManifest::new(Descriptor::of(media_type::OCI_EMPTY, b"{}"), vec![]);
    image.artifact_type = Some(kind.to_owned());
    image.subject = Some(Descriptor::new(media_type::OCI_MANIFEST, *subject, 7));
    RawManifest::encode(&Manifest::Image(image)).unwrap()
}

fn leak(bytes: impl Into<Vec<u8>>) -> &'static [u8] {
    Box::leak(bytes.into().into_boxed_slice())
}

#[tokio::test]
async fn referrers_are_filtered_here_if_the_registry_does_not_say_that_it_did() {
    let subject = Digest::of(b"image");
    let list = |kinds: [&str; 2]| {
        let entry = |kind: &str| {
            let mut entry = note(&subject, kind).descriptor();
            entry.artifact_type = Some(kind.to_owned());
            entry
        };
        let index = Index::new(kinds.map(entry).to_vec());
        leak(RawManifest::encode(&Manifest::Index(index)).unwrap().bytes)
    };
    let (both, filtered) = (list(["x/sig", "x/sbom"]), list(["x/sig", "x/sig"]));
    let fake = Fake::start(move |request, _| {
        let kind = ("content-type", media_type::OCI_INDEX);
        match request.query().get("artifactType").map(String::as_str) {
            Some("x/filtered") => {
                with(200, &[kind, ("oci-filters-applied", "artifactType")], filtered)
            }
            _ => with(200, &[kind], both),
        }
    })
    .await;
    let client = client();
    let repository = fake.repository();
    let count = async |kind| {
        let found = client.referrers(&repository, &subject, kind).await.unwrap();
        assert_eq!(found.listed_by, ListedBy::Registry);
        found.manifests.len()
    };
    assert_eq!(count(None).await, 2);
    assert_eq!(count(Some("x/sbom")).await, 1);
    assert_eq!(count(Some("x/filtered")).await, 2);
}

/// A registry without a list of referrers, which keeps manifests by name; `heeds` whether it heeds
/// conditions. Every write to a tag is followed `rivals` times by one of somebody else.
async fn old_registry(heeds: bool, rivals: usize) -> (Fake, Arc<Mutex<HashMap<String, Bytes>>>) {
    let kept: Arc<Mutex<HashMap<String, Bytes>>> = Arc::default();
    let store = Arc::clone(&kept);
    let left = Mutex::new(rivals);
    let fake = Fake::start(move |request, _| {
        let Some(name) = request.uri.path().strip_prefix("/v2/team/app/manifests/") else {
            return status(404);
        };
        let mut store = store.lock().unwrap();
        match request.method {
            Method::PUT => {
                let body = request.body.clone().unwrap();
                let standing = store.get(name).map(|it| format!("\"{}\"", Digest::of(it)));
                if heeds {
                    let expected = request.header("if-match").map(str::to_owned);
                    let absent = request.header("if-none-match") == Some("*");
                    if (expected.is_some() && expected != standing) || (absent && standing.is_some()) {
                        return status(412);
                    }
                }
                store.insert(name.to_owned(), body);
                let mut left = left.lock().unwrap();
                if *left > 0 && !name.contains(':') {
                    *left -= 1;
                    let other = note(&Digest::of(b"image"), &format!("x/rival{left}"));
                    // Written over what we wrote: by one who had read it before.
                    let index = Index::new(vec![other.descriptor()]);
                    let raw = RawManifest::encode(&Manifest::Index(index)).unwrap();
                    store.insert(name.to_owned(), raw.bytes);
                }
                status(201)
            }
            Method::DELETE if !name.contains(':') => with(
                400,
                &[],
                br#"{"errors":[{"code":"DIGEST_INVALID","message":"provided digest did not match"}]}"#,
            ),
            Method::DELETE => {
                store.remove(name);
                status(202)
            }
            _ => match store.get(name) {
                Some(body) => {
                    let index = body.windows(11).any(|it| it == b"\"manifests\"");
                    let kind = if index { media_type::OCI_INDEX } else { media_type::OCI_MANIFEST };
                    let etag = format!("\"{}\"", Digest::of(body));
                    with(200, &[("content-type", kind), ("etag", &etag)], leak(body.to_vec()))
                }
                None => status(404),
            },
        }
    })
    .await;
    (fake, kept)
}

#[tokio::test]
async fn where_the_registry_keeps_no_list_we_keep_it_and_lose_no_entry_to_rivals() {
    for (heeds, rivals) in [(true, 0), (false, 0), (true, 2), (false, 2)] {
        let (fake, _) = old_registry(heeds, rivals).await;
        let (client, repository) = (client(), fake.repository());
        let subject = Digest::of(b"image");
        let notes = [note(&subject, "x/sig"), note(&subject, "x/sbom")];
        for it in &notes {
            client.put_manifest(&repository, &Reference::Digest(it.digest), it).await.unwrap();
        }
        let found = client.referrers(&repository, &subject, None).await.unwrap();
        assert_eq!(found.listed_by, ListedBy::Tag);
        for it in &notes {
            assert!(
                found.manifests.iter().any(|entry| entry.digest == it.digest),
                "heeds conditions: {heeds}, rivals: {rivals}"
            );
        }
        let only = client.referrers(&repository, &subject, Some("x/sig")).await.unwrap();
        assert_eq!(only.manifests.len(), 1);
        assert_eq!(only.manifests[0].artifact_type.as_deref(), Some("x/sig"));
    }
}

#[tokio::test]
async fn a_list_that_others_change_for_ever_is_given_up() {
    let (fake, _) = old_registry(false, 1000).await;
    let it = note(&Digest::of(b"image"), "x/sig");
    let put = client().put_manifest(&fake.repository(), &Reference::Digest(it.digest), &it).await;
    let error = put.unwrap_err();
    assert!(error.to_string().contains("changed by others"), "{error}");
}

#[tokio::test]
async fn an_image_under_the_fallback_tag_is_not_written_over() {
    let (fake, kept) = old_registry(true, 0).await;
    let subject = Digest::of(b"image");
    let tag = format!("sha256-{}", subject.hex());
    let image = note(&Digest::of(b"other"), "x/image");
    kept.lock().unwrap().insert(tag.clone(), image.bytes.clone());
    let it = note(&subject, "x/sig");
    let put = client().put_manifest(&fake.repository(), &Reference::Digest(it.digest), &it).await;
    assert!(put.unwrap_err().to_string().contains("is no list of referrers"));
    assert_eq!(kept.lock().unwrap()[&tag], image.bytes);
}

#[tokio::test]
async fn a_registry_that_lists_referrers_itself_is_left_to_do_it() {
    let subject = Digest::of(b"image");
    let named = subject.to_string();
    let fake = Fake::start(move |_, _| with(201, &[("oci-subject", &named)], b"")).await;
    let it = note(&subject, "x/sig");
    client().put_manifest(&fake.repository(), &Reference::Digest(it.digest), &it).await.unwrap();
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn with_a_note_goes_its_mention_and_a_tag_is_never_taken_for_its_manifest() {
    let (fake, kept) = old_registry(true, 0).await;
    let (client, repository) = (client(), fake.repository());
    let subject = Digest::of(b"image");
    let it = note(&subject, "x/sig");
    client.put_manifest(&repository, &Reference::Digest(it.digest), &it).await.unwrap();
    let tag: Tag = "keep".parse().unwrap();
    client.put_manifest(&repository, &Reference::Tag(tag.clone()), &it).await.unwrap();

    let error = client.delete_tag(&repository, &tag).await.unwrap_err();
    assert!(matches!(error, RegistryError::NoTagDeletion { .. }), "{error}");
    assert!(kept.lock().unwrap().contains_key(&it.digest.to_string()));

    assert_eq!(client.delete_manifest(&repository, &it.digest).await.unwrap(), it);
    let found = client.referrers(&repository, &subject, None).await.unwrap();
    assert!(found.manifests.is_empty());
}

#[tokio::test]
async fn a_registry_that_deletes_nothing_is_named_as_such() {
    let it = note(&Digest::of(b"image"), "x/sig");
    let bytes = leak(it.bytes.clone());
    let fake = Fake::start(move |request, _| match request.method {
        Method::DELETE => {
            with(405, &[], br#"{"errors":[{"code":"UNSUPPORTED","message":"unsupported"}]}"#)
        }
        _ => with(200, &[("content-type", media_type::OCI_MANIFEST)], bytes),
    })
    .await;
    let (client, repository) = (client(), fake.repository());
    let manifest = client.delete_manifest(&repository, &it.digest).await.unwrap_err();
    let blob = client.delete_blob(&repository, &layer().digest).await.unwrap_err();
    for error in [manifest, blob] {
        assert!(matches!(error, RegistryError::NoDeletion { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_deletion_whose_answer_was_lost_is_done() {
    let fake = Fake::start(|_, before| status(if before == 0 { 503 } else { 404 })).await;
    client().delete_blob(&fake.repository(), &layer().digest).await.unwrap();
    let error = client().delete_blob(&fake.repository(), &layer().digest).await.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
}

/// As in `push`: it need not run to compile.
fn lists_can_be_spawned(client: &RegistryClient, repository: &Repository, digest: &Digest) {
    fn can_be_spawned<T>(_: impl Future<Output = T> + Send) {}
    can_be_spawned(client.tags(repository));
    can_be_spawned(client.repositories(repository.registry()));
    can_be_spawned(client.referrers(repository, digest, None));
    can_be_spawned(client.delete_manifest(repository, digest));
    can_be_spawned(client.delete_blob(repository, digest));
}

#[tokio::test]
async fn whatever_waits_for_a_list_can_be_given_to_another_thread() {
    let repository = "a.b/c".parse().unwrap();
    lists_can_be_spawned(&client(), &repository, &Digest::of(b""));
}
