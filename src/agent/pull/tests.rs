//! Pulls against a real registry in this process.

use std::{fs, io::Write as _, net::Ipv4Addr, path::Path, time::Duration};

use super::*;
use crate::{
    image::synthetic::SyntheticImage,
    registry::{
        client::{ClientConfig, PushOptions, RegistryClient, RetryPolicy, push_image},
        server::{Access, ListenerLimits, RegistryConfig, RegistryServer},
    },
    types::{Registry, Repository},
};

struct Site {
    folder: tempfile::TempDir,
    server: RegistryServer,
    image: PinnedImage,
    layers: Vec<Descriptor>,
}

impl Site {
    /// A registry with one image of two layers.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = RegistryConfig {
            limits: ListenerLimits::default(),
            folder: folder.path().join("registry"),
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            tls: None,
            access: Access::Anonymous,
        };
        let server = RegistryServer::bind(config).await.unwrap();
        let registry: Registry = server.address().to_string().parse().unwrap();
        let repository = Repository::new(registry, "team/web").unwrap();
        let layout = folder.path().join("layout");
        let image =
            SyntheticImage::new(1).layers(2, 200_000).in_folder(&layout, None).await.unwrap();
        let pushed = push_image(&client(), &image, &repository, None, &PushOptions::default(), &())
            .await
            .unwrap();
        let Ok(Manifest::Image(manifest)) = pushed.root.parse() else { panic!("no image") };
        let image = PinnedImage { repository, digest: pushed.root.digest };
        Self { folder, server, image, layers: manifest.layers }
    }

    fn partial(&self) -> PathBuf {
        self.folder.path().join("partial")
    }

    fn images(&self) -> Images {
        fs::create_dir_all(self.partial()).unwrap();
        let store = Folder::open(self.folder.path().join("store")).unwrap();
        Images::new(store, self.partial())
    }

    async fn pull(&self) -> Result<Stored, PullError> {
        self.images()
            .ensure(&self.image, &platform(), Origin::Registry(&client()), &PullProgress::default())
            .await
    }

    /// The file of a blob in the registry.
    fn blob(&self, layer: &Descriptor) -> PathBuf {
        self.server.folder().blob_path(&layer.digest)
    }
}

fn client() -> RegistryClient {
    let retry = RetryPolicy { first_delay: Duration::from_millis(1), ..RetryPolicy::default() };
    RegistryClient::new(ClientConfig { retry, ..ClientConfig::default() })
}

fn platform() -> Platform {
    Platform::linux("amd64".parse().unwrap())
}

fn write(path: &Path, bytes: &[u8]) {
    fs::File::create(path).unwrap().write_all(bytes).unwrap();
}

#[tokio::test]
async fn an_image_that_was_pulled_is_whole_without_its_registry() {
    let site = Site::new().await;
    assert_eq!(site.images().whole(&site.image, &platform()).await.unwrap(), None);

    let stored = site.pull().await.unwrap();

    let Site { folder, server, image, .. } = site;
    server.shutdown().await;
    let store = Folder::open(folder.path().join("store")).unwrap();
    let images = Images::new(store, folder.path().join("partial"));
    assert_eq!(images.whole(&image, &platform()).await.unwrap(), Some(stored));
    assert_eq!(fs::read_dir(folder.path().join("partial")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_download_that_a_restart_cut_off_goes_on_where_it_stood() {
    let site = Site::new().await;
    let layer = &site.layers[0];
    let content = fs::read(site.blob(layer)).unwrap();
    let half = content.len() / 2;
    fs::create_dir_all(site.partial()).unwrap();
    write(&site.partial().join(layer.digest.hex()), &content[..half]);
    // The registry has lost the first half: only who asks for the rest alone can succeed.
    let mut lost = content.clone();
    lost[..half].fill(0);
    write(&site.blob(layer), &lost);

    site.pull().await.unwrap();

    assert_eq!(site.images().store.has_blob(&layer.digest), Some(layer.size));
}

#[tokio::test]
async fn a_swapped_layer_is_refused_and_nothing_of_it_is_kept() {
    for grow in [0, 1000] {
        let site = Site::new().await;
        let layer = &site.layers[1];
        let mut content = fs::read(site.blob(layer)).unwrap();
        content[10] ^= 1;
        content.resize(content.len() + grow, 0);
        write(&site.blob(layer), &content);

        let error = site.pull().await.unwrap_err();

        assert_eq!(error.attack(), Some("swapped-layer"), "{error}");
        assert_eq!(site.images().store.has_blob(&layer.digest), None);
        assert_eq!(site.images().whole(&site.image, &platform()).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_registry_that_is_away_is_told_from_one_that_lies() {
    let Site { folder, server, image, .. } = Site::new().await;
    server.shutdown().await;
    let store = Folder::open(folder.path().join("store")).unwrap();
    let images = Images::new(store, folder.path().to_owned());
    let error = images
        .ensure(&image, &platform(), Origin::Registry(&client()), &PullProgress::default())
        .await
        .unwrap_err();
    assert!(error.is_network() && error.attack().is_none(), "{error}");
}

#[tokio::test]
async fn an_image_without_the_layers_of_its_configuration_is_refused_before_any_is_fetched() {
    let mut site = Site::new().await;
    let registry = client();
    let raw = registry.manifest(&site.image.repository, &site.image.digest.into()).await.unwrap();
    let Ok(Manifest::Image(mut manifest)) = raw.parse() else { panic!("an image") };
    manifest.layers.truncate(1);
    let damaged = RawManifest::encode(&Manifest::Image(manifest)).unwrap();
    let reference = Reference::Digest(damaged.digest);
    registry.put_manifest(&site.image.repository, &reference, &damaged).await.unwrap();
    let whole = site.image.clone();
    site.image.digest = damaged.digest;
    for _ in 0..2 {
        let error = site.pull().await.unwrap_err();
        assert!(matches!(error, PullError::Layers { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("lists 1 layers") && text.contains("names 2"), "{text}");
        assert_eq!(site.images().store.has_blob(&site.layers[0].digest), None);
    }
    // What another image brought does not make it whole.
    let damaged = std::mem::replace(&mut site.image, whole);
    site.pull().await.unwrap();
    let name = RepositoryName::from(&damaged.repository);
    let blobs = site.layers.iter().map(|layer| layer.digest).collect();
    site.images().store.link_blobs(&name, blobs).await.unwrap();
    let error = site.images().whole(&damaged, &platform()).await.unwrap_err();
    assert!(matches!(error, PullError::Layers { .. }), "{error:?}");
}

#[tokio::test]
async fn an_index_within_an_index_leads_to_the_image_for_the_node() {
    let mut site = Site::new().await;
    let registry = client();
    let repository = site.image.repository.clone();
    let raw = registry.manifest(&repository, &site.image.digest.into()).await.unwrap();
    let listed = Descriptor { platform: Some(platform()), ..raw.descriptor() };
    let mut below = listed;
    for _ in 0..2 {
        let index = Manifest::Index(crate::image::Index::new(vec![below]));
        let index = RawManifest::encode(&index).unwrap();
        registry.put_manifest(&repository, &index.digest.into(), &index).await.unwrap();
        below = index.descriptor();
    }
    let image = site.image.digest;
    site.image.digest = below.digest;
    let stored = site.pull().await.unwrap();
    assert_eq!(stored.manifest, image);
    assert_eq!(site.images().known(&site.image, &platform()).await.unwrap(), Some(image));
    assert_eq!(site.images().whole(&site.image, &platform()).await.unwrap(), Some(stored));
}
