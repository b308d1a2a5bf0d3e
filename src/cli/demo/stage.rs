//! The stage of the demonstration: a temporary folder, a hub in it, an organization with its trust.

use std::{collections::BTreeSet, fs, path::PathBuf, sync::Arc};

use jiff::Timestamp;
use tempfile::TempDir;

use crate::{
    agent::{EngineChoice, Sockets},
    cli::{
        Context,
        agent::Engine,
        code,
        demo::thief::{TheftError, Thief},
        error::CliError,
    },
    exchange::{
        api::{OrgRequest, UserRequest},
        client::{Auth, ExchangeClient, ExchangeConfig},
    },
    hub::{Hub, HubConfig},
    listener::ListenerLimits,
    sign::{Envelope, SigningKey},
    trust::{TrustDocument, TrustPin},
    types::{Arch, Clock, Digest, DocumentKey, OrgId, PatternId, Registry, Secret, UserId},
};

/// What a step gives to later ones, and what it has to say.
pub(super) type Told<T = ()> = Result<(T, String), TheftError>;

/// The stage.
#[derive(Debug)]
pub(super) struct Stage {
    folder: TempDir,
    pub(super) engine: EngineChoice,
    pub(super) sockets: Sockets,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) org: OrgId,
    pub(super) key: SigningKey,
    hub: Option<Hub>,
    pub(super) exchange: Option<ExchangeConfig>,
    client: Option<ExchangeClient>,
    pub(super) pin: Option<TrustPin>,
}

impl Stage {
    /// An empty stage.
    pub(super) fn new(engine: Engine, context: &Context) -> Result<Self, CliError> {
        let folder =
            tempfile::Builder::new().prefix("edgepost-demo-").tempdir().map_err(|error| {
                CliError::new(code::FILES, "no temporary folder could be made").because(&error)
            })?;
        Ok(Self {
            folder,
            engine: engine.into(),
            sockets: context.environment.sockets()?,
            clock: context.clock.clone(),
            org: "demo"
                .parse()
                .map_err(|error| CliError::new(code::FAILED, "no organization").because(&error))?,
            hub: None,
            exchange: None,
            client: None,
            key: SigningKey::generate(),
            pin: None,
        })
    }

    /// Starts exchange and registry.
    pub(super) async fn start_hub(&mut self) -> Told {
        let hub = Hub::bind(HubConfig {
            data: self.path("hub"),
            listen: ([127, 0, 0, 1], 0).into(),
            tls: None,
            root_password: None,
            limits: ListenerLimits::default(),
            create_missing: BTreeSet::new(),
        })
        .await?;
        let detail = format!("exchange on {}, registry on {}", hub.exchange_url(), hub.address());
        self.hub = Some(hub);
        Ok(((), detail))
    }

    /// Makes an organization with an administrator, who publishes from now on.
    pub(super) async fn make_organization(&mut self) -> Told {
        let password =
            self.hub()?.made_root_password().ok_or("the root password is not known")?.clone();
        let root = Auth::User { org: "root".parse()?, name: "root".parse()?, password };
        let url = self.hub()?.exchange_url();
        let config = |auth| ExchangeConfig::new(url.clone(), self.org.clone(), auth);
        let root = ExchangeClient::new(&config(root))?;
        let org = OrgRequest::new("Demo", "The demonstration's organization");
        root.create_org(&self.org, &org).await?;
        let password = Secret::random()?;
        let user = UserRequest {
            password: password.clone().into(),
            admin: true,
            hub_admin: false,
            email: String::new(),
        };
        let name: UserId = "ann".parse()?;
        let exchange = config(Auth::User { org: self.org.clone(), name: name.clone(), password });
        root.about(self.org.clone()).create_user(&name, &user).await?;
        self.client = Some(ExchangeClient::new(&exchange)?);
        self.exchange = Some(exchange);
        Ok(((), "organization demo, administrator ann".to_owned()))
    }

    /// Signs the organization's first trust document: one key for everything.
    pub(super) async fn make_trust(&mut self) -> Told {
        let client = self.client()?;
        let stamp_key = client.stamp_key().await?;
        let owner = self.key.verifying_key();
        let document =
            TrustDocument::single_key(self.org.clone(), &owner, &stamp_key, self.clock.now());
        let envelope = document.seal(&[&self.key])?;
        client.put_trust(&envelope).await?;
        let pin = TrustPin(envelope.digest());
        self.pin = Some(pin);
        Ok(((), format!("one key for everything; nodes pin {}", envelope.digest().short())))
    }

    /// Ends everything and removes what it left.
    pub(super) async fn clear(self) {
        self.clear_node().await;
        if let Some(hub) = self.hub {
            hub.shutdown().await;
        }
    }

    /// A thief with the exchange's database and online key.
    pub(super) async fn thief(&self) -> Result<Thief, TheftError> {
        Thief::break_in(&self.path("hub"), &self.org).await
    }

    /// The newest envelope of a document.
    pub(super) async fn newest(&self, key: &DocumentKey) -> Result<Envelope, TheftError> {
        Ok(self.client()?.newest_document(key).await?.ok_or("it is not published")?)
    }

    /// The time.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The file of a blob in the registry's folder.
    pub(super) fn registry_blob(&self, digest: &Digest) -> Result<PathBuf, TheftError> {
        let mut folders = vec![self.path("hub/registry")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.file_name().is_some_and(|name| *name == *digest.hex()) {
                    return Ok(path);
                }
            }
        }
        Err(format!("the registry has no file of {digest}").into())
    }

    pub(super) fn hub(&self) -> Result<&Hub, TheftError> {
        Ok(self.hub.as_ref().ok_or("the hub does not run")?)
    }

    pub(super) fn client(&self) -> Result<&ExchangeClient, TheftError> {
        Ok(self.client.as_ref().ok_or("there is no user yet")?)
    }

    pub(super) fn registry(&self) -> Result<Registry, TheftError> {
        Ok(self.hub()?.address().to_string().parse()?)
    }

    pub(super) fn layout(&self, version: &str) -> PathBuf {
        self.path(&format!("image-{version}"))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// The key of the service's `version`.
pub(super) fn service_key(version: &str) -> Result<DocumentKey, TheftError> {
    Ok(DocumentKey::service(&"hello".parse()?, &version.parse()?, &Arch::of_this_machine()))
}

/// The key of the pattern.
pub(super) fn pattern_key() -> Result<DocumentKey, TheftError> {
    Ok(DocumentKey::pattern(&pattern_id()?))
}

pub(super) fn pattern_id() -> Result<PatternId, TheftError> {
    Ok("pattern-hello".parse()?)
}
