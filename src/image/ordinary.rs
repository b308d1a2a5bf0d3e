//! Foreign layers as ordinary ones, for a registry that is to hold the whole image.
//!
//! A registry refuses or ignores a layer that its manifest lists as foreign, whether it has the bytes or not (Docker
//! Distribution 2.8 answers 500). So the manifest is written anew: the layer has a plain media type and no `urls`. The
//! rest of the manifest stays as its maker wrote it; its digest is another one, and so is that of an index above.

use std::collections::HashMap;

use serde_json::Value;

use crate::{
    image::{Descriptor, ImageError, Parts, RawManifest, media_type},
    types::Digest,
};

/// By which annotation an attestation names the manifest that it is about.
const ABOUT: &str = "vnd.docker.reference.digest";

impl Parts {
    /// The same image with its foreign layers among the ordinary ones. Unchanged if it has none.
    ///
    /// # Errors
    /// A manifest cannot be written anew.
    pub fn with_ordinary_layers(mut self) -> Result<Self, ImageError> {
        if self.foreign.is_empty() {
            return Ok(self);
        }
        let mut renamed: HashMap<Digest, RawManifest> = HashMap::new();
        // Each manifest stands behind those that it names.
        for raw in &mut self.manifests {
            if let Some(changed) = relist(raw, &renamed)? {
                renamed.insert(raw.digest, changed.clone());
                *raw = changed;
            }
        }
        if let Some(root) = renamed.remove(&self.root.digest) {
            self.root = root;
        }
        let foreign = std::mem::take(&mut self.foreign);
        self.blobs.extend(foreign.into_iter().map(Descriptor::into_ordinary_layer));
        self.blobs.sort_by_key(|blob| (blob.size, blob.digest));
        self.blobs.dedup_by_key(|blob| blob.digest);
        Ok(self)
    }
}

impl Descriptor {
    /// A foreign layer as an ordinary one; anything else as it is.
    #[must_use]
    pub fn into_ordinary_layer(self) -> Self {
        if !self.is_foreign_layer() {
            return self;
        }
        let media_type = media_type::ordinary_layer(&self.media_type);
        Self { media_type, urls: Vec::new(), ..self }
    }
}

/// `raw` with ordinary layers, and with the new digests of `renamed`; none if nothing of that concerns it.
fn relist(
    raw: &RawManifest,
    renamed: &HashMap<Digest, RawManifest>,
) -> Result<Option<RawManifest>, ImageError> {
    let malformed = |error: serde_json::Error| {
        let problem = crate::types::JsonProblem::from(error);
        ImageError::malformed(format!("the manifest {}", raw.digest), problem.to_string())
    };
    let mut json: Value = serde_json::from_slice(&raw.bytes).map_err(malformed)?;
    let mut is_changed = false;
    for layer in list(&mut json, "layers") {
        is_changed |= make_ordinary(layer);
    }
    for child in list(&mut json, "manifests") {
        is_changed |= rename(child, renamed);
    }
    if !is_changed {
        return Ok(None);
    }
    let bytes = serde_json::to_vec(&json).map_err(malformed)?;
    Ok(Some(RawManifest::new(&raw.media_type, bytes)))
}

fn list<'a>(json: &'a mut Value, name: &str) -> impl Iterator<Item = &'a mut Value> {
    json.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten()
}

/// Lists a foreign layer as an ordinary one; tells whether it was foreign.
fn make_ordinary(layer: &mut Value) -> bool {
    let Some(layer) = layer.as_object_mut() else { return false };
    let foreign = layer.get("mediaType").and_then(Value::as_str);
    let Some(foreign) = foreign.filter(|it| media_type::is_foreign_layer(it)) else { return false };
    let ordinary = media_type::ordinary_layer(foreign);
    layer.insert("mediaType".to_owned(), ordinary.into());
    layer.shift_remove("urls");
    true
}

/// Gives an entry of an index the new digest of its manifest; tells whether it has one.
fn rename(child: &mut Value, renamed: &HashMap<Digest, RawManifest>) -> bool {
    let new = |digest: Option<&Value>| {
        digest.and_then(Value::as_str).and_then(|it| renamed.get(&it.parse().ok()?))
    };
    let mut is_changed = false;
    if let Some(raw) = new(child.get("digest")) {
        child["digest"] = raw.digest.to_string().into();
        child["size"] = raw.size().into();
        is_changed = true;
    }
    if let Some(raw) = new(child.get("annotations").and_then(|it| it.get(ABOUT))) {
        child["annotations"][ABOUT] = raw.digest.to_string().into();
        is_changed = true;
    }
    is_changed
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::image::{
        ImageSource as _, Manifest, Platforms,
        layout::{OciLayout, OciLayoutWriter},
    };

    const FOREIGN: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";

    /// A layout with an index of one image for Windows, whose base layer is foreign.
    async fn windows(folder: &std::path::Path) -> OciLayout {
        let mut layout = OciLayoutWriter::create(folder).await.unwrap();
        let base = layout.add_bytes(FOREIGN, b"base").await.unwrap();
        let own = layout.add_bytes(media_type::DOCKER_LAYER_GZIP, b"own").await.unwrap();
        let config = json!({
            "architecture": "amd64", "os": "windows", "os.version": "10.0.20348.1",
            "rootfs": {"type": "layers", "diff_ids": [base.digest, own.digest]},
        });
        let config = layout
            .add_bytes(media_type::DOCKER_CONFIG, config.to_string().as_bytes())
            .await
            .unwrap();
        let mut base = json!(base);
        base["urls"] = json!(["https://mcr.example/base"]);
        let image = json!({
            "schemaVersion": 2, "mediaType": media_type::DOCKER_MANIFEST, "config": config,
            "layers": [base, own], "x-kept": {"b": 1, "a": 2},
        });
        let image = RawManifest::new(media_type::DOCKER_MANIFEST, image.to_string());
        layout.add_manifest(&image).await.unwrap();
        let mut listed = json!(image.descriptor());
        listed["platform"] = json!({
            "architecture": "amd64", "os": "windows", "os.version": "10.0.20348.1",
        });
        let index = json!({
            "schemaVersion": 2, "mediaType": media_type::DOCKER_INDEX, "manifests": [listed],
        });
        let index = RawManifest::new(media_type::DOCKER_INDEX, index.to_string());
        layout.add_manifest(&index).await.unwrap();
        layout.finish(index.descriptor(), Some("1")).await.unwrap()
    }

    #[tokio::test]
    async fn foreign_layers_become_ordinary_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let layout = windows(folder.path()).await;
        let before = Parts::of(&layout, &Platforms::All).await.unwrap();
        assert_eq!(before.foreign.len(), 1);

        let after = before.clone().with_ordinary_layers().unwrap();

        assert_ne!(after.root.digest, before.root.digest);
        assert_eq!((after.foreign.len(), after.blobs.len()), (0, 3));
        let Ok(Manifest::Index(index)) = after.root.parse() else { panic!("an index") };
        let platform = index.manifests[0].platform.clone().unwrap();
        assert_eq!(platform.os_version.as_deref(), Some("10.0.20348.1"));
        let [image, root] = after.manifests.as_slice() else { panic!("two manifests") };
        assert_eq!(root, &after.root);
        assert_eq!(index.manifests[0].digest, image.digest);
        assert_eq!(index.manifests[0].size, image.size());
        let json: Value = serde_json::from_slice(&image.bytes).unwrap();
        assert_eq!(json["layers"][0]["mediaType"], media_type::DOCKER_LAYER_GZIP);
        assert_eq!(json["layers"][0].get("urls"), None);
        assert_eq!(json["x-kept"], json!({"b": 1, "a": 2}));

        let again = after.clone().with_ordinary_layers().unwrap();
        assert_eq!((again.root, again.manifests), (after.root, after.manifests));
    }

    #[tokio::test]
    async fn an_image_without_foreign_layers_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let image = crate::image::synthetic::SyntheticImage::new(1).layers(1, 1000);
        let layout = image.in_folder(folder.path(), None).await.unwrap();
        let parts = Parts::of(&layout, &Platforms::All).await.unwrap();
        let root = layout.root().await.unwrap();
        assert_eq!(parts.with_ordinary_layers().unwrap().root, root);
    }
}
