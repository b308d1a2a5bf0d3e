//! The publisher of the demonstration: makes images, and publishes what `examples/hello` says.

use std::collections::BTreeMap;

use crate::{
    cli::demo::{
        executable,
        stage::{Stage, Told, pattern_id},
        thief::TheftError,
    },
    document::{
        Pattern, ServiceDefinition, project,
        source::{Source, Variables},
    },
    image::{
        ImageManifest, ImageSource as _, LocalPlace, Manifest, Packing, Place, layout::OciLayout,
    },
    publish::{self, Existing, Order, Publisher, PullLogin, Registries},
    registry::client::{ClientConfig, Foreign, Login, Logins, RegistryClient},
    sign::SigningKey,
    types::{Arch, Digest, Secret},
};

/// What is published: the files of `examples/hello`.
const SERVICE: &str = include_str!("../../../examples/hello/service.definition.json");
const PATTERN: &str = include_str!("../../../examples/hello/pattern.json");
const PROJECT: &str = include_str!("../../../examples/hello/hzn.json");

impl Stage {
    /// Makes an image out of this very program, as an OCI layout.
    pub(super) async fn make_image(&mut self, version: &str) -> Told {
        let image = executable::image(version)?;
        let layout = image.in_folder(&self.layout(version), None).await?;
        let manifest = image_manifest(&layout).await?;
        let size: u64 = manifest.layers.iter().map(|layer| layer.size).sum();
        let count = manifest.layers.len();
        Ok(((), format!("version {version}: {count} layers, {} KiB, no base image", size / 1024)))
    }

    /// Publishes the service of `examples/hello`.
    pub(super) async fn publish(&mut self, version: &str) -> Told {
        let source = Source::read("service.definition.json", SERVICE, &self.variables(version)?)?;
        let (definition, _) = ServiceDefinition::from_source(&source)?;
        let accounts =
            self.hub()?.made_accounts().ok_or("the registry's accounts are not known")?;
        let registry = self.registry()?;
        let login = |user: &str, password: &Secret| {
            let login = Login::new(user, password.clone());
            let logins = Logins::none().with(registry.clone(), login);
            RegistryClient::new(ClientConfig { logins, ..ClientConfig::default() })
        };
        let registries =
            Registries { push: login("push", &accounts.push), pull: login("pull", &accounts.pull) };
        let order = Order {
            definition,
            operator: None,
            policy: None,
            logins: vec![PullLogin {
                registry: registry.clone(),
                username: "pull".to_owned(),
                token: accounts.pull.clone(),
            }],
            registry_ca: BTreeMap::new(),
            wait: std::time::Duration::ZERO,
            sources: vec![publish::Source {
                image: None,
                place: Place::Local(LocalPlace::Layout(self.layout(version), None)),
            }],
            packing: Packing::default(),
            foreign: Foreign::LeaveOut,
            existing: Existing::Refuse,
        };
        let publisher = self.publisher()?;
        let outcome = Box::pin(publisher.publish(&order, &registries, &())).await?;
        let image = outcome.images.first().ok_or("nothing was shipped")?;
        let digest = image.image.digest.short();
        Ok((
            (),
            format!(
                "{} as {digest}, {} bytes sent, signed, one commit",
                outcome.key, image.sent_bytes
            ),
        ))
    }

    /// Publishes the pattern of `examples/hello`, so that its nodes should run `version`.
    pub(super) async fn publish_pattern(&mut self, version: &str) -> Told {
        let source = Source::read("pattern.json", PATTERN, &self.variables(version)?)?;
        let (pattern, _) = Pattern::from_source(&source)?;
        let id = pattern_id()?;
        let published =
            self.publisher()?.publish_document(&id, &pattern, Existing::Overwrite).await?;
        Ok(((), format!("{} now names {version}, seq {}", published.key, published.seq)))
    }

    /// A layer that only `version` has.
    pub(super) async fn a_new_layer(&self, version: &str) -> Result<Digest, TheftError> {
        let layout = OciLayout::open(&self.layout(version), None)?;
        let manifest = image_manifest(&layout).await?;
        Ok(manifest.layers.first().ok_or("the image has no layer")?.digest)
    }

    fn publisher(&self) -> Result<Publisher, TheftError> {
        let key = SigningKey::from_pem(&self.key.to_pem())?;
        Ok(Publisher::new(self.org.clone(), self.client()?.clone(), vec![key], self.clock.clone()))
    }

    fn variables(&self, version: &str) -> Result<Variables, TheftError> {
        let mut own = Variables::new();
        own.set("REGISTRY", self.registry()?.to_string());
        own.set("SERVICE_VERSION", version);
        own.set("ARCH", Arch::of_this_machine().to_string());
        Ok(own.or(&project::variables("hzn.json", PROJECT)?))
    }
}

/// The image manifest of a layout of one image.
async fn image_manifest(layout: &OciLayout) -> Result<ImageManifest, TheftError> {
    match layout.root().await?.parse()? {
        Manifest::Image(manifest) => Ok(manifest),
        Manifest::Index(_) => Err("the layout holds an index".into()),
    }
}
