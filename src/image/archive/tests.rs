use std::io::Write as _;

use super::*;
use crate::image::{
    Manifest, Platforms, VerifiedReader,
    layout::{OciLayout, OciLayoutWriter},
    media_type,
    synthetic::SyntheticImage,
};

fn tar_of(files: &[(&str, &[u8])], links: &[(&str, &str)]) -> tempfile::NamedTempFile {
    let mut builder = tar::Builder::new(tempfile::NamedTempFile::new().unwrap());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *bytes).unwrap();
    }
    for (name, target) in links {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder.append_link(&mut header, name, target).unwrap();
    }
    builder.into_inner().unwrap()
}

fn docker_archive(diff_id: Digest) -> tempfile::NamedTempFile {
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{diff_id}","{diff_id}"]}}}}"#
    );
    let manifest =
        br#"[{"Config":"c.json","RepoTags":["hello:1"],"Layers":["a/layer.tar","b/layer.tar"]}]"#;
    tar_of(
        &[("manifest.json", manifest), ("c.json", config.as_bytes()), ("a/layer.tar", &LAYER)],
        &[("b/layer.tar", "../a/layer.tar")],
    )
}

async fn read(path: &Path, wanted: Wanted<'_>) -> Result<ArchiveImage, ImageError> {
    open(path, wanted, &Packing::default()).await
}

const LAYER: [u8; 5000] = [b'l'; 5000];

async fn image_of(source: &ArchiveImage) -> crate::image::ImageManifest {
    match source.root().await.unwrap().parse().unwrap() {
        Manifest::Image(image) => image,
        Manifest::Index(_) => panic!("an image was saved"),
    }
}

async fn check_blobs(source: &ArchiveImage) {
    for blob in image_of(source).await.blobs() {
        let reader = source.blob(blob).await.unwrap();
        VerifiedReader::new(reader, blob).into_bytes(1_000_000).await.unwrap();
    }
}

#[tokio::test]
async fn dockers_old_format_becomes_a_compressed_image() {
    let file = docker_archive(Digest::of(&LAYER));
    let wanted = "docker.io/library/hello:1".parse().unwrap();
    let once = read(file.path(), Wanted::Image(&wanted)).await.unwrap();
    let twice = read(file.path(), Wanted::Only).await.unwrap();
    assert_eq!(once.root().await.unwrap(), twice.root().await.unwrap());
    let image = image_of(&once).await;
    assert_eq!(once.root().await.unwrap().media_type, media_type::DOCKER_MANIFEST);
    assert_eq!(image.layers.len(), 2);
    assert_eq!(image.layers[0], image.layers[1]);
    assert!(image.layers[0].size < 5000);
    check_blobs(&once).await;
}

#[tokio::test]
async fn an_archive_may_be_compressed_whole() {
    let plain = docker_archive(Digest::of(&LAYER));
    let root = read(plain.path(), Wanted::Only).await.unwrap().root().await.unwrap();
    let bytes = std::fs::read(plain.path()).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&bytes).unwrap();
    let zstd = zstd::encode_all(&bytes[..], 3).unwrap();
    for packed in [gzip.finish().unwrap(), zstd] {
        assert!(packed.len() < bytes.len());
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&packed).unwrap();
        let source = read(file.path(), Wanted::Only).await.unwrap();
        assert_eq!(source.root().await.unwrap(), root);
        check_blobs(&source).await;
        file.as_file().set_len(packed.len() as u64 / 2).unwrap();
        let cut = read(file.path(), Wanted::Only).await.unwrap_err();
        assert!(matches!(cut, ImageError::Malformed { .. }), "{cut:?}");
    }
}

#[tokio::test]
async fn an_archive_that_grows_beyond_measure_is_refused() {
    let packed = zstd::encode_all(&vec![0; 20_000_000][..], 3).unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&packed).unwrap();
    let refused = read(file.path(), Wanted::Only).await.unwrap_err();
    assert!(refused.to_string().contains("too large"), "{refused}");
}

#[tokio::test]
async fn a_layer_that_is_not_the_configurations_is_refused() {
    let file = docker_archive(Digest::of(b"other"));
    assert!(matches!(read(file.path(), Wanted::Only).await, Err(ImageError::WrongContent { .. })));
}

#[tokio::test]
async fn an_image_that_is_not_there_is_named_with_what_is() {
    let file = docker_archive(Digest::of(&LAYER));
    let error = read(file.path(), Wanted::Image(&"other:1".parse().unwrap())).await.unwrap_err();
    assert!(error.to_string().ends_with("it has hello:1"), "{error}");
}

#[tokio::test]
async fn an_archive_that_is_cut_short_or_compressed_is_handled() {
    let file = docker_archive(Digest::of(&LAYER));
    let whole = std::fs::read(file.path()).unwrap();
    let mut cut = tempfile::NamedTempFile::new().unwrap();
    cut.write_all(&whole[..3000]).unwrap();
    assert!(matches!(read(cut.path(), Wanted::Only).await, Err(ImageError::Malformed { .. })));

    let packed = tempfile::NamedTempFile::new().unwrap();
    let mut encoder = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
    encoder.write_all(&whole).unwrap();
    let packed = encoder.finish().unwrap();
    check_blobs(&read(packed.path(), Wanted::Only).await.unwrap()).await;
}

/// A layout, tarred as Docker 25 does.
fn tar_of_folder(folder: &Path) -> tempfile::NamedTempFile {
    let mut builder = tar::Builder::new(tempfile::NamedTempFile::new().unwrap());
    builder.append_dir_all("", folder).unwrap();
    builder.into_inner().unwrap()
}

#[tokio::test]
async fn an_oci_layout_in_a_tar_keeps_its_digest() {
    let folder = tempfile::tempdir().unwrap();
    let layout =
        SyntheticImage::new(1).layers(2, 10_000).in_folder(folder.path(), Some("1")).await.unwrap();
    let file = tar_of_folder(folder.path());
    let image = read(file.path(), Wanted::Image(&"hello:1".parse().unwrap())).await.unwrap();
    assert_eq!(image.root().await.unwrap().digest, layout.descriptor().digest);
    check_blobs(&image).await;
}

#[tokio::test]
async fn layers_that_docker_25_saves_in_plain_are_compressed() {
    let folder = tempfile::tempdir().unwrap();
    let mut layout = OciLayoutWriter::create(folder.path()).await.unwrap();
    let layer = layout.add_bytes(media_type::OCI_LAYER, &LAYER).await.unwrap();
    let config = serde_json::json!({"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": [layer.digest]}});
    let config =
        layout.add_bytes(media_type::OCI_CONFIG, config.to_string().as_bytes()).await.unwrap();
    let manifest = crate::image::ImageManifest::new(config.clone(), vec![layer]);
    let raw = RawManifest::encode(&Manifest::Image(manifest)).unwrap();
    layout.add_manifest(&raw).await.unwrap();
    layout.finish(raw.descriptor(), Some("1")).await.unwrap();
    let image = read(tar_of_folder(folder.path()).path(), Wanted::Only).await.unwrap();
    let manifest = image_of(&image).await;
    assert_eq!(manifest.config, config);
    assert_eq!(manifest.layers[0].media_type, media_type::OCI_LAYER_GZIP);
    check_blobs_of_moved(&image).await;
}

/// The archive file is gone, but a compressed layer is a file of its own.
async fn check_blobs_of_moved(image: &ArchiveImage) {
    let layer = &image_of(image).await.layers[0];
    let reader = image.blob(layer).await.unwrap();
    VerifiedReader::new(reader, layer).into_bytes(1_000_000).await.unwrap();
}

#[tokio::test]
async fn an_index_of_which_one_platform_was_saved_becomes_that_image() {
    let folder = tempfile::tempdir().unwrap();
    let mut layout = OciLayoutWriter::create(folder.path()).await.unwrap();
    let here = SyntheticImage::new(1).layers(1, 1000).write(&mut layout).await.unwrap();
    let mut elsewhere = Descriptor::of(media_type::OCI_MANIFEST, b"elsewhere");
    elsewhere.platform = Some(Platform::linux("s390x".parse().unwrap()));
    let index = Manifest::Index(crate::image::Index::new(vec![elsewhere, here.clone()]));
    let index = RawManifest::encode(&index).unwrap();
    layout.add_manifest(&index).await.unwrap();
    layout.finish(index.descriptor(), Some("1")).await.unwrap();
    let file = tar_of_folder(folder.path());
    let image = read(file.path(), Wanted::Only).await.unwrap();
    assert_eq!(image.root().await.unwrap().digest, here.digest);
    check_blobs(&image).await;
}

#[tokio::test]
async fn a_whole_index_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut layout = OciLayoutWriter::create(folder.path()).await.unwrap();
    let one = SyntheticImage::new(1).layers(1, 1000).write(&mut layout).await.unwrap();
    let two = SyntheticImage::new(2).arch("s390x".parse().unwrap());
    let two = two.write(&mut layout).await.unwrap();
    let index = Manifest::Index(crate::image::Index::new(vec![one.clone(), two]));
    let index = RawManifest::encode(&index).unwrap();
    layout.add_manifest(&index).await.unwrap();
    layout.finish(index.descriptor(), Some("1")).await.unwrap();
    let file = tar_of_folder(folder.path());
    let image = read(file.path(), Wanted::Only).await.unwrap();
    assert_eq!(image.root().await.unwrap(), index);
    assert_eq!(image.manifest(&one).await.unwrap().digest, one.digest);

    let copy = tempfile::tempdir().unwrap();
    let writer = OciLayoutWriter::create(copy.path()).await.unwrap();
    crate::image::copy(&image, Box::new(writer), None, &Platforms::All, &()).await.unwrap();
    let copied = OciLayout::open(copy.path(), None).unwrap();
    assert_eq!(copied.root().await.unwrap(), index);
}

/// What an archive of Docker 25 has: an OCI layout with plain layers, and `manifest.json`.
#[derive(Default)]
struct Docker25 {
    files: Vec<(String, Vec<u8>)>,
    listed: Vec<serde_json::Value>,
    saved: Vec<serde_json::Value>,
}

impl Docker25 {
    /// Adds an image of `layers`, which the OCI manifest lists in the order of `order`.
    fn image(&mut self, names: Option<&[&str]>, layers: &[&[u8]], order: &[usize]) -> Digest {
        let diff_ids: Vec<_> = layers.iter().map(|layer| Digest::of(layer)).collect();
        let config = serde_json::json!({
            "architecture": "amd64", "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = self.blob(media_type::OCI_CONFIG, config.to_string().as_bytes());
        let stored: Vec<_> =
            layers.iter().map(|layer| self.blob(media_type::OCI_LAYER, layer)).collect();
        let listed = order.iter().map(|at| stored[*at].clone()).collect();
        let manifest = crate::image::ImageManifest::new(config.clone(), listed);
        let raw = RawManifest::encode(&Manifest::Image(manifest)).unwrap();
        self.blob(&raw.media_type, &raw.bytes);
        self.listed.push(serde_json::json!(raw.descriptor()));
        let path = |it: &Descriptor| blob_name(&it.digest);
        self.saved.push(serde_json::json!({
            "Config": path(&config),
            "RepoTags": names,
            "Layers": stored.iter().map(path).collect::<Vec<_>>(),
        }));
        config.digest
    }

    fn blob(&mut self, media_type: &str, bytes: &[u8]) -> Descriptor {
        let descriptor = Descriptor::of(media_type, bytes);
        self.files.push((blob_name(&descriptor.digest), bytes.to_vec()));
        descriptor
    }

    fn tar(&self) -> tempfile::NamedTempFile {
        self.tar_with_index(&serde_json::json!(self.listed))
    }

    fn tar_with_index(&self, manifests: &serde_json::Value) -> tempfile::NamedTempFile {
        let index = serde_json::json!({"schemaVersion": 2, "manifests": manifests}).to_string();
        let saved = serde_json::json!(self.saved).to_string();
        let mut files: Vec<(&str, &[u8])> = vec![
            ("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#),
            ("index.json", index.as_bytes()),
            ("manifest.json", saved.as_bytes()),
        ];
        files.extend(self.files.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])));
        tar_of(&files, &[])
    }
}

/// The layers of `source`, not compressed.
async fn plain_layers(source: &ArchiveImage) -> Vec<Vec<u8>> {
    use std::io::Read as _;
    let mut layers = Vec::new();
    for layer in &image_of(source).await.layers {
        let reader = source.blob(layer).await.unwrap();
        let packed = VerifiedReader::new(reader, layer).into_bytes(1_000_000).await.unwrap();
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut plain).unwrap();
        layers.push(plain);
    }
    layers
}

#[tokio::test]
async fn the_layers_of_manifest_json_count_where_the_oci_manifest_has_others() {
    let (first, second): (&[u8], &[u8]) = (b"first layer", b"second layer");
    let mut right = Docker25::default();
    right.image(Some(&["hello:1"]), &[first, second], &[0, 1]);
    let right = read(right.tar().path(), Wanted::Only).await.unwrap();
    assert_eq!(plain_layers(&right).await, [first, second]);
    for order in [&[][..], &[1, 0], &[0]] {
        let mut archive = Docker25::default();
        archive.image(Some(&["hello:1"]), &[first, second], order);
        let file = archive.tar();
        let wanted = "hello:1".parse().unwrap();
        let image = read(file.path(), Wanted::Image(&wanted)).await.unwrap();
        assert_eq!(plain_layers(&image).await, [first, second], "{order:?}");
        assert_eq!(image_of(&image).await.layers, image_of(&right).await.layers);
        crate::image::Parts::of(&image, &Platforms::All).await.unwrap();
    }
}

#[tokio::test]
async fn an_oci_manifest_without_layers_is_refused_where_nothing_else_lists_them() {
    let mut archive = Docker25::default();
    archive.image(None, &[b"first", b"second"], &[]);
    archive.saved.clear();
    let file = archive.tar();
    let image = read(file.path(), Wanted::Only).await.unwrap();
    let error = crate::image::Parts::of(&image, &Platforms::All).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("lists 0 layers") && text.contains("names 2"), "{text}");
    // With plain layers it is found as soon as they are read.
    let mut archive = Docker25::default();
    archive.image(None, &[b"first", b"second"], &[0]);
    archive.saved.clear();
    let error = read(archive.tar().path(), Wanted::Only).await.unwrap_err();
    assert!(matches!(error, ImageError::Layers { .. }), "{error:?}");
}

#[tokio::test]
async fn two_images_without_a_name_are_both_listed_and_neither_is_taken() {
    let mut archive = Docker25::default();
    archive.image(None, &[b"first"], &[0]);
    let second = archive.image(None, &[b"second"], &[0]);
    // Docker lists one of them alone in index.json (moby/moby#51389).
    archive.listed.truncate(1);
    let first = archive.listed[0]["digest"].as_str().unwrap().to_owned();
    let file = archive.tar();
    let image = "registry.example/hello:1".parse().unwrap();
    for wanted in [Wanted::Only, Wanted::Image(&image), Wanted::ImageOrOnly(&image)] {
        let error = read(file.path(), wanted).await.unwrap_err();
        assert!(matches!(error, ImageError::SeveralImages { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(&first) && text.contains(&second.to_string()), "{text}");
    }
    // Each is there by its digest.
    let by_id = read(file.path(), Wanted::Name(&second.to_string())).await.unwrap();
    assert_eq!(plain_layers(&by_id).await, [b"second"]);
    let by_digest = read(file.path(), Wanted::Name(&first)).await.unwrap();
    assert_eq!(plain_layers(&by_digest).await, [b"first"]);
}

#[tokio::test]
async fn an_index_json_without_manifests_leaves_the_word_to_manifest_json() {
    let mut archive = Docker25::default();
    archive.image(Some(&["hello:1"]), &[b"layer"], &[0]);
    for none in [serde_json::Value::Null, serde_json::json!([]), serde_json::json!({})] {
        let file = archive.tar_with_index(&none);
        let image = read(file.path(), Wanted::Only).await.unwrap();
        assert_eq!(plain_layers(&image).await, [b"layer"], "{none}");
    }
    archive.saved.clear();
    let file = archive.tar_with_index(&serde_json::Value::Null);
    let error = read(file.path(), Wanted::Only).await.unwrap_err().to_string();
    assert!(error.contains("has no image"), "{error}");
    let error = read(tar_of(&[("hello", b"hi")], &[]).path(), Wanted::Only).await.unwrap_err();
    assert!(error.to_string().contains("neither an OCI layout nor"), "{error}");
}

#[tokio::test]
async fn the_only_image_is_taken_under_another_name_where_that_is_allowed() {
    let mut archive = Docker25::default();
    archive.image(Some(&["other:2"]), &[b"layer"], &[0]);
    let file = archive.tar();
    let wanted = "registry.example/hello:1".parse().unwrap();
    let refused = read(file.path(), Wanted::Image(&wanted)).await.unwrap_err().to_string();
    assert!(refused.ends_with("it has other:2"), "{refused}");
    let taken = read(file.path(), Wanted::ImageOrOnly(&wanted)).await.unwrap();
    assert_eq!(taken.other_name(), Some("other:2"));
}

#[tokio::test]
async fn an_index_within_an_index_is_read_from_a_tar_as_from_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mut layout = OciLayoutWriter::create(folder.path()).await.unwrap();
    let one = SyntheticImage::new(1).layers(1, 1000).write(&mut layout).await.unwrap();
    let two = SyntheticImage::new(2).arch("s390x".parse().unwrap());
    let two = two.write(&mut layout).await.unwrap();
    let index = |manifests| {
        let index = Manifest::Index(crate::image::Index::new(manifests));
        RawManifest::encode(&index).unwrap()
    };
    let inner = index(vec![one, two.clone()]);
    let outer = index(vec![inner.descriptor()]);
    layout.add_manifest(&inner).await.unwrap();
    layout.add_manifest(&outer).await.unwrap();
    let layout = layout.finish(outer.descriptor(), Some("1")).await.unwrap();
    let file = tar_of_folder(folder.path());
    let archive = read(file.path(), Wanted::Only).await.unwrap();
    assert_eq!(archive.root().await.unwrap(), outer);
    let only = Platforms::Only(vec!["s390x".parse().unwrap()]);
    for source in [&archive as &dyn ImageSource, &layout] {
        let all = crate::image::Parts::of(source, &Platforms::All).await.unwrap();
        assert_eq!((all.root, all.manifests.len()), (outer.clone(), 4));
        let one = crate::image::Parts::of(source, &only).await.unwrap();
        assert_eq!(one.root.digest, two.digest);
    }
    // What lies within is there by its digest.
    let name = inner.digest.to_string();
    assert_eq!(read(file.path(), Wanted::Name(&name)).await.unwrap().root().await.unwrap(), inner);
    let inside = OciLayout::open(folder.path(), Some(&two.digest.to_string())).unwrap();
    assert_eq!(inside.root().await.unwrap().digest, two.digest);
}

#[tokio::test]
async fn layers_that_are_compressed_in_a_docker_archive_are_read_or_named() {
    let archive = |layer: &[u8]| {
        let diff_id = Digest::of(&LAYER);
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","rootfs":{{"diff_ids":["{diff_id}"]}}}}"#
        );
        let list = br#"[{"Config":"c.json","RepoTags":null,"Layers":["l.tar"]}]"#;
        tar_of(&[("manifest.json", list), ("c.json", config.as_bytes()), ("l.tar", layer)], &[])
    };
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&LAYER).unwrap();
    let zstd = zstd::encode_all(&LAYER[..], 3).unwrap();
    for layer in [gzip.finish().unwrap(), zstd] {
        let file = archive(&layer);
        let image = read(file.path(), Wanted::Only).await.unwrap();
        assert_eq!(image_of(&image).await.layers[0].media_type, media_type::DOCKER_LAYER_GZIP);
        assert_eq!(plain_layers(&image).await, [LAYER]);
    }
    let error = read(archive(b"\xfd7zXZ\0rest").path(), Wanted::Only).await.unwrap_err();
    assert!(error.to_string().contains("compressed with xz"), "{error}");
    let mut whole = tempfile::NamedTempFile::new().unwrap();
    whole.write_all(b"BZh91AY&SY rest").unwrap();
    let error = read(whole.path(), Wanted::Only).await.unwrap_err();
    assert!(error.to_string().contains("bzip2 -d"), "{error}");
}
