//! A bundle that is made: what the exchange has, verified, and the images of its services.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    CATALOG, ExportError, FORMAT, HEAD, Head, Inventory, STAMP, document_name, staging::Staging,
    trust_name,
};
use crate::{
    document::{
        ServiceBody, ShippedImage,
        matching::required::{self, Answer, Published, Requirement},
    },
    exchange::client::ExchangeClient,
    image::{
        ImageSource as _, Platforms,
        archive::{names, write_tar},
        layout::blob_name,
    },
    registry::client::{ClientConfig, Progress, RegistryClient, RegistryImage},
    sign::Envelope,
    trust::{Catalog, CatalogEntry, Marks, Refusal, State, Trust, TrustRoot, VerifiedStamp},
    types::{Arch, Digest, DocumentKey, DocumentKind, ImageRef, OrgId, Registry},
};

/// How many documents are fetched at once.
const AT_ONCE: usize = 8;

/// Whom everything comes from.
#[derive(Debug)]
pub struct Exporter<'a> {
    /// The exchange.
    pub exchange: &'a ExchangeClient,
    /// Where the walk of its trust begins.
    pub root: TrustRoot,
    /// How registries are reached.
    pub registries: ClientConfig,
    /// The present moment.
    pub now: Timestamp,
}

/// What goes into a bundle. Every signed document does, since nodes decide by them; images are chosen.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// The images of these services, and of those that they require; of all active ones if none is named.
    pub services: Vec<DocumentKey>,
    /// The images for these architectures; for all if none is named.
    pub arches: Vec<Arch>,
    /// Whether any images go into it.
    pub without_images: bool,
    /// What the node has that it is for.
    pub held: Option<Inventory>,
}

/// What a bundle holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Exported {
    /// The organization.
    pub org: OrgId,
    /// The number of the stamp.
    pub stamp_seq: u64,
    /// Until when it can be imported without more ado.
    pub stamp_expires: Timestamp,
    /// How many signed documents are in it.
    pub documents: usize,
    /// The services whose images are in it, or held by the node.
    pub services: Vec<DocumentKey>,
    /// The services that no node would take by the trust of today, and why; no images of theirs are in it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub refused: BTreeMap<DocumentKey, String>,
    /// How many images there are of them.
    pub images: usize,
    /// How many configurations, layers and manifests are in it.
    pub blobs: usize,
    /// Its length in bytes.
    pub bytes: u64,
}

/// The newest state, verified, with the bytes that it was verified from.
struct Newest {
    chain: Vec<Envelope>,
    trust: Trust,
    stamp: Envelope,
    opened: VerifiedStamp,
    catalog_bytes: Vec<u8>,
    catalog: Catalog,
}

/// The services that a bundle can have images of, and those that no node would take.
#[derive(Default)]
struct Services {
    verified: BTreeMap<DocumentKey, ServiceBody>,
    refused: BTreeMap<DocumentKey, Refusal>,
}

impl Newest {
    /// The active services: what their images are is believed. One that is not signed as the trust of today asks
    /// for, since its key was retired, does not keep the others from their way.
    fn services(&self, documents: &BTreeMap<DocumentKey, Envelope>) -> Services {
        let mut services = Services::default();
        let active =
            self.catalog.entries.iter().filter(|(key, entry)| is_active_service(key, entry));
        for (key, envelope) in active.filter_map(|(key, _)| documents.get_key_value(key)) {
            match self.catalog.open::<ServiceBody>(&self.trust, envelope, key) {
                Ok(document) => drop(services.verified.insert(key.clone(), document.into_body())),
                Err(refusal) => drop(services.refused.insert(key.clone(), refusal)),
            }
        }
        services
    }
}

fn is_active_service(key: &DocumentKey, entry: &CatalogEntry) -> bool {
    key.kind() == DocumentKind::Service && entry.state == State::Active
}

/// Writes the bundle `file`. Images lie in a folder beside it until all is there, so that a run that is
/// broken off goes on where it stopped.
pub async fn export(
    file: &Path,
    from: &Exporter<'_>,
    selection: &Selection,
    progress: &dyn Progress,
) -> Result<Exported, ExportError> {
    let newest = from.newest().await?;
    let held = selection.held.clone();
    let (held_documents, held_blobs) = held.map(|it| (it.documents, it.blobs)).unwrap_or_default();
    let mut documents = from.documents(&newest, &held_documents).await?;
    let mut services = newest.services(&documents);
    documents.retain(|_, envelope| !held_documents.contains(&envelope.digest()));
    let chosen = if selection.without_images {
        BTreeSet::new()
    } else {
        chosen(&newest.catalog.org, &mut services, selection)?
    };
    let staging = Staging::beside(file, held_blobs)?;
    let mut blobs = BTreeSet::new();
    let mut images = BTreeSet::new();
    for body in chosen.iter().filter_map(|key| services.verified.get(key)) {
        for image in &body.images {
            if images.insert((image.image.clone(), image.platform.to_string())) {
                blobs.extend(from.fetch(image, &body.registry_ca, &staging, progress).await?);
            }
        }
    }
    // What the node holds was not fetched, nor were layers that only their maker may serve.
    blobs.retain(|it| staging.has(it));
    let failed = |source| ExportError::Write { path: file.to_owned(), source };
    let packing = Packing { newest, documents, staging, blobs, made: from.now };
    let path = file.to_owned();
    let packed = tokio::task::spawn_blocking(move || {
        packing.write(&path)?;
        let bytes = std::fs::metadata(&path)?.len();
        Ok((packing, bytes))
    });
    let (packed, bytes) = packed.await.map_err(io::Error::other).flatten().map_err(failed)?;
    let Packing { newest, documents, blobs, .. } = packed;
    Ok(Exported {
        org: newest.catalog.org,
        stamp_seq: newest.opened.seq,
        stamp_expires: newest.opened.expires,
        documents: documents.len(),
        services: chosen.into_iter().collect(),
        refused: services.refused.iter().map(|(key, it)| (key.clone(), it.to_string())).collect(),
        images: images.len(),
        blobs: blobs.len(),
        bytes,
    })
}

impl Exporter<'_> {
    async fn newest(&self) -> Result<Newest, ExportError> {
        let chain = self.exchange.trust_chain().await?;
        let trust = Trust::walk(&chain, self.root)?.ok_or(ExportError::NoTrust)?;
        let stamp = self.exchange.stamp().await?;
        let opened = trust.open_stamp(&stamp, self.now)?;
        let catalog_bytes = self.exchange.catalog(opened.catalog.version).await?.to_vec();
        // Marks that have seen nothing: a node judges by its own whether this is news.
        let (_, catalog) = Marks::default().admit(&trust, &opened, &catalog_bytes, self.now)?;
        Ok(Newest { chain, trust, stamp, opened, catalog_bytes, catalog })
    }

    /// The documents of the catalog: those that are not in `held`, and every active service.
    async fn documents(
        &self,
        newest: &Newest,
        held: &BTreeSet<Digest>,
    ) -> Result<BTreeMap<DocumentKey, Envelope>, ExportError> {
        let wanted =
            newest.catalog.entries.iter().filter(|(key, entry)| {
                !held.contains(&entry.sha256) || is_active_service(key, entry)
            });
        let wanted: Vec<_> = wanted.map(|(key, entry)| (key.clone(), entry.sha256)).collect();
        stream::iter(wanted)
            .map(async |(key, expected)| {
                let envelope = self.exchange.document(&expected).await?;
                let received = envelope.digest();
                if received != expected {
                    let what = key.to_string();
                    return Err(Refusal::Altered { what, expected, received }.into());
                }
                Ok((key, envelope))
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    /// Brings an image beside the bundle; all digests that it is made of.
    async fn fetch(
        &self,
        shipped: &ShippedImage,
        authorities: &BTreeMap<Registry, String>,
        staging: &Staging,
        progress: &dyn Progress,
    ) -> Result<Vec<Digest>, ExportError> {
        let image = &shipped.image;
        let failed =
            |error| ExportError::Image { image: Box::new(image.clone()), source: Box::new(error) };
        let mut config = self.registries.clone();
        for (registry, pem) in authorities {
            config.ca.entry(registry.clone()).or_default().push(pem.clone());
        }
        let client = RegistryClient::new(config);
        let (repository, digest) = (image.repository.clone(), Some(image.digest));
        let reference = ImageRef { repository, tag: None, digest };
        let source = RegistryImage::new(client.clone(), &reference);
        let root = source.root().await.map_err(failed)?;
        let platforms = Platforms::Only(vec![shipped.platform.clone()]);
        let mut target = staging.target().await.map_err(failed)?;
        // What is signed is the digest of the root, which may be an index of more platforms than are needed.
        target.put_manifest(&root).await.map_err(failed)?;
        let name = image.to_string();
        client
            .pull_image(&source, &image.repository, target, Some(&name), &platforms, progress)
            .await
            .map_err(failed)?;
        let hexes = names(&root, staging.folder()).map_err(failed)?;
        Ok(hexes.iter().filter_map(|hex| Digest::from_hex(hex).ok()).collect())
    }
}

/// The services whose images go into the bundle.
fn chosen(
    org: &OrgId,
    services: &mut Services,
    selection: &Selection,
) -> Result<BTreeSet<DocumentKey>, ExportError> {
    let fits = |body: &ServiceBody| {
        selection.arches.is_empty() || selection.arches.contains(&body.definition.arch)
    };
    let verified = &services.verified;
    if selection.services.is_empty() {
        let fitting = verified.iter().filter(|(_, body)| fits(body));
        return Ok(fitting.map(|(key, _)| key.clone()).collect());
    }
    let mut chosen = BTreeSet::new();
    for key in &selection.services {
        let Some(body) = verified.get(key) else {
            let refusal = services.refused.remove(key).map(ExportError::Refused);
            return Err(refusal.unwrap_or_else(|| ExportError::NoService(key.clone())));
        };
        let service = Published { org, definition: &body.definition };
        let resolution =
            required::resolve(service, &mut |asked| find(org, verified, asked)).map_err(
                |error| ExportError::Required { service: key.clone(), source: Box::new(error) },
            )?;
        chosen.extend(resolution.services.iter().map(|it| DocumentKey::from(&it.service.id())));
    }
    Ok(chosen)
}

/// The highest version that serves a requirement.
fn find<'a>(
    org: &'a OrgId,
    services: &'a BTreeMap<DocumentKey, ServiceBody>,
    asked: &Requirement<'_>,
) -> Answer<'a> {
    if asked.org != org {
        let why = format!("{} is a service of {}, and is not carried along", asked.url, asked.org);
        return Answer::Refused(why);
    }
    let serves = |it: &&ServiceBody| {
        let definition = &it.definition;
        definition.url == *asked.url
            && definition.arch == asked.by.arch
            && asked.range.contains(&definition.version)
    };
    let highest = services
        .values()
        .filter(serves)
        .max_by(|a, b| a.definition.version.cmp(&b.definition.version));
    highest
        .map_or(Answer::Nothing, |it| Answer::Found(Published { org, definition: &it.definition }))
}

/// What is written into the file.
struct Packing {
    newest: Newest,
    documents: BTreeMap<DocumentKey, Envelope>,
    staging: Staging,
    blobs: BTreeSet<Digest>,
    made: Timestamp,
}

impl Packing {
    fn write(&self, file: &Path) -> io::Result<()> {
        let newest = &self.newest;
        let (org, trust) = (newest.catalog.org.clone(), newest.trust.version());
        let head = Head { format: FORMAT, org, trust, made: self.made };
        write_tar(file, |tar| {
            tar.add(HEAD, &serde_json::to_vec(&head)?)?;
            for (version, envelope) in (1..).zip(&newest.chain) {
                tar.add(&trust_name(version), &envelope.to_json())?;
            }
            tar.add(STAMP, &newest.stamp.to_json())?;
            tar.add(CATALOG, &newest.catalog_bytes)?;
            for envelope in self.documents.values() {
                tar.add(&document_name(&envelope.digest()), &envelope.to_json())?;
            }
            if self.blobs.is_empty() {
                return Ok(());
            }
            let folder = self.staging.folder();
            for name in ["oci-layout", "index.json"] {
                tar.add_file(name, &folder.join(name))?;
            }
            for name in self.blobs.iter().map(blob_name) {
                tar.add_file(&name, &folder.join(&name))?;
            }
            Ok(())
        })?;
        self.staging.remove()
    }
}
