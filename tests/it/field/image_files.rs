//! Archives and layouts made file by file, also such as no builder of ours would write.

use std::{collections::BTreeMap, fs, io::Write as _, path::Path};

use edgepost::{
    image::{Descriptor, layout::blob_name, media_type},
    types::Digest,
};
use serde_json::{Value, json};

/// The files of an archive or layout, by their paths.
#[derive(Debug, Default, Clone)]
pub struct ImageFiles {
    files: BTreeMap<String, Vec<u8>>,
}

impl ImageFiles {
    /// No files but the mark of a layout.
    pub fn new() -> Self {
        let mut files = Self::default();
        files.add("oci-layout", &json!({"imageLayoutVersion": "1.0.0"}));
        files
    }

    /// Adds a JSON file.
    pub fn add(&mut self, path: &str, content: &Value) {
        self.files.insert(path.to_owned(), content.to_string().into_bytes());
    }

    /// Adds `index.json`, which lists `manifests`.
    pub fn list(&mut self, manifests: &Value) {
        self.add("index.json", &json!({"schemaVersion": 2, "manifests": manifests}));
    }

    /// Adds a blob.
    pub fn blob(&mut self, media_type: &str, content: &[u8]) -> Descriptor {
        let descriptor = Descriptor::of(media_type, content);
        self.files.insert(blob_name(&descriptor.digest), content.to_vec());
        descriptor
    }

    /// Adds a JSON document as a blob.
    pub fn document(&mut self, media_type: &str, content: &Value) -> Descriptor {
        self.blob(media_type, content.to_string().as_bytes())
    }

    /// Adds the configuration of an image of these layers, which are not compressed; `more` replaces fields.
    pub fn config(&mut self, layers: &[&[u8]], more: &Value) -> Descriptor {
        let diff_ids: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
        let mut config = json!({
            "architecture": edgepost::types::Arch::of_this_machine(),
            "os": "linux",
            "config": {"Cmd": ["/hello"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            config[name] = value.clone();
        }
        self.document(media_type::OCI_CONFIG, &config)
    }

    /// Adds the OCI manifest of an image.
    pub fn manifest(&mut self, config: &Descriptor, layers: &[Descriptor]) -> Descriptor {
        let manifest = json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
            "config": config, "layers": layers,
        });
        self.document(media_type::OCI_MANIFEST, &manifest)
    }

    /// Adds an image with one gzip layer, for `arch`.
    pub fn image(&mut self, content: &[u8], more: &Value) -> Descriptor {
        let layer = self.blob(media_type::OCI_LAYER_GZIP, &gzip(content));
        let config = self.config(&[content], more);
        self.manifest(&config, &[layer])
    }

    /// Writes them into a folder.
    pub fn folder(&self, folder: &Path) {
        for (path, content) in &self.files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
    }

    /// Writes them into a tar.
    pub fn tar(&self, file: &Path) {
        let mut tar = tar::Builder::new(fs::File::create(file).unwrap());
        for (path, content) in &self.files {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, path, &content[..]).unwrap();
        }
        tar.into_inner().unwrap();
    }
}

/// A tar with one file, as a layer has it.
pub fn layer(name: &str, content: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o755);
    tar.append_data(&mut header, name, content).unwrap();
    tar.into_inner().unwrap()
}

/// `content`, compressed.
pub fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}
