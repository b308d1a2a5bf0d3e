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
    elsewhere.platform = Some(crate::types::Platform::linux("s390x".parse().unwrap()));
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
