//! The stage of the demonstration: a temporary folder, a hub in it, a publisher, and a node.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;
use tempfile::TempDir;

use crate::{
    agent::{Agent, AgentConfig, End, EngineChoice, Outcome, Registration, Sockets, register},
    cli::{
        Context,
        agent::Engine,
        code,
        demo::{
            executable,
            thief::{TheftError, Thief},
        },
        error::CliError,
    },
    document::{
        Pattern, ServiceDefinition, project,
        source::{Source, Variables},
    },
    exchange::{
        api::{OrgRequest, ServiceState, UserRequest},
        client::{Auth, ExchangeClient, ExchangeConfig},
    },
    hub::{Hub, HubConfig},
    image::{ImageManifest, ImageSource as _, Manifest, layout::OciLayout},
    publish::{self, Existing, Order, Place, Publisher, PullLogin, Registries},
    registry::client::{ClientConfig, Login, Logins, RegistryClient},
    sign::{Envelope, SigningKey},
    trust::{TrustDocument, TrustPin, TrustRoot},
    types::{
        Arch, Clock, Digest, DocumentKey, NodeRef, OrgId, PatternId, PatternRef, Registry, Secret,
        UserId,
    },
};

/// What is published: the files of `examples/hello`.
const SERVICE: &str = include_str!("../../../examples/hello/service.definition.json");
const PATTERN: &str = include_str!("../../../examples/hello/pattern.json");
const PROJECT: &str = include_str!("../../../examples/hello/hzn.json");

type Told<T = ()> = Result<(T, String), TheftError>;

/// The stage.
#[derive(Debug)]
pub(super) struct Stage {
    folder: TempDir,
    engine: EngineChoice,
    sockets: Sockets,
    clock: Arc<dyn Clock>,
    org: OrgId,
    key: SigningKey,
    hub: Option<Hub>,
    exchange: Option<ExchangeConfig>,
    client: Option<ExchangeClient>,
    pin: Option<TrustPin>,
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
            sockets: context.environment.sockets(),
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
            policy: None,
            logins: vec![PullLogin {
                registry: registry.clone(),
                username: "pull".to_owned(),
                token: accounts.pull.clone(),
            }],
            registry_ca: BTreeMap::new(),
            sources: vec![publish::Source {
                image: None,
                place: Place::Layout(self.layout(version), None),
            }],
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
            self.publisher()?.publish_pattern(&id, &pattern, Existing::Overwrite).await?;
        Ok(((), format!("{} now names {version}, seq {}", published.key, published.seq)))
    }

    /// Registers a node that takes the pattern.
    pub(super) async fn register(&mut self) -> Told {
        let exchange = self.exchange.clone().ok_or("there is no user yet")?;
        let trust = TrustRoot::Pinned(self.pin.ok_or("there is no trust yet")?);
        let pattern = PatternRef { org: self.org.clone(), id: pattern_id()? };
        let node = NodeRef { org: self.org.clone(), id: "node-1".parse()? };
        let registration =
            Registration::new(exchange, node, Secret::random()?, trust).pattern(pattern);
        register(&self.agent_config(), registration).await?;
        Ok(((), "node-1 pinned the trust and took the pattern".to_owned()))
    }

    /// Lets the node settle; it must have `version` then, and nothing else.
    pub(super) async fn settle(&mut self, version: &str) -> Told {
        let outcome = self.run_agent().await?;
        let key = service_key(version)?;
        let has: Vec<_> = outcome
            .status
            .services
            .iter()
            .filter(|it| it.state == ServiceState::Running)
            .map(|it| DocumentKey::from(&it.service))
            .collect();
        if outcome.end != End::Settled || has != [key.clone()] {
            return Err(format!(
                "the node ended as {:?} with {has:?}: {}",
                outcome.end,
                told(&outcome)
            )
            .into());
        }
        let verb = if outcome.status.engine == "none" { "verified and pulled" } else { "runs" };
        Ok(((), format!("the node {verb} {key} (engine {})", outcome.status.engine)))
    }

    /// Lets the node settle while something is wrong: it must say `attack`, and keep what it has.
    pub(super) async fn must_refuse(&mut self, attack: &str) -> Result<String, TheftError> {
        let outcome = self.run_agent().await?;
        let kept = service_key("2.0.0")?;
        let has_kept =
            outcome.status.services.iter().any(|it| {
                DocumentKey::from(&it.service) == kept && it.state == ServiceState::Running
            });
        match outcome.status.refusals.iter().find(|it| it.attack == attack) {
            Some(refusal) if outcome.end == End::Refused && has_kept => Ok(refusal.detail.clone()),
            _ => Err(format!("not refused as `{attack}`: {}", told(&outcome)).into()),
        }
    }

    /// Ends everything and removes what it left. Trouble here must not hide the story's end.
    pub(super) async fn clear(self) {
        if let Ok(mut agent) = Agent::open(self.agent_config()).await
            && let Err(error) = agent.clear().await
        {
            tracing::warn!(%error, "containers of the demonstration are left behind");
        }
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

    /// A layer that only `version` has.
    pub(super) async fn a_new_layer(&self, version: &str) -> Result<Digest, TheftError> {
        let layout = OciLayout::open(&self.layout(version), None).await?;
        let manifest = image_manifest(&layout).await?;
        Ok(manifest.layers.first().ok_or("the image has no layer")?.digest)
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

    async fn run_agent(&self) -> Result<Outcome, TheftError> {
        let mut agent = Agent::open(self.agent_config()).await?;
        Ok(Box::pin(agent.run_once()).await)
    }

    fn agent_config(&self) -> AgentConfig {
        AgentConfig::new(self.path("node"))
            .engine(self.engine)
            .sockets(self.sockets.clone())
            .clock(self.clock.clone())
            .watch(Duration::from_millis(500))
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

    fn hub(&self) -> Result<&Hub, TheftError> {
        Ok(self.hub.as_ref().ok_or("the hub does not run")?)
    }

    fn client(&self) -> Result<&ExchangeClient, TheftError> {
        Ok(self.client.as_ref().ok_or("there is no user yet")?)
    }

    fn registry(&self) -> Result<Registry, TheftError> {
        Ok(self.hub()?.address().to_string().parse()?)
    }

    fn layout(&self, version: &str) -> PathBuf {
        self.path(&format!("image-{version}"))
    }

    fn path(&self, name: &str) -> PathBuf {
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

fn pattern_id() -> Result<PatternId, TheftError> {
    Ok("pattern-hello".parse()?)
}

/// The image manifest of a layout of one image.
async fn image_manifest(layout: &OciLayout) -> Result<ImageManifest, TheftError> {
    match layout.root().await?.parse()? {
        Manifest::Image(manifest) => Ok(manifest),
        Manifest::Index(_) => Err("the layout holds an index".into()),
    }
}

/// What an agent's pass had to say.
fn told(outcome: &Outcome) -> String {
    let refusals = outcome.status.refusals.iter().map(|it| format!("{}: {}", it.attack, it.detail));
    refusals.chain(outcome.status.problems.iter().cloned()).collect::<Vec<_>>().join("; ")
}
