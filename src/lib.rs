//! Edgepost posts container services to edge nodes: a developer publishes a signed service, nodes
//! verify it, pull it by digest and run it.
//!
//! ```text
//!  L5  cli · hub
//!  L4  publish · agent · bundle · exchange::server
//!  L3  exchange::client · exchange::store
//!  L2  trust · registry::{protocol, client, server} · exchange::api
//!  L1  sign · document · image · listener · claim · data_parts · disk_space · login · audit · log_limiter
//!      private_file · text_file
//!  L0  types
//! ```
//!
//! A module imports only from layers below it; `ARCHITECTURE.md` says why, and a test keeps it so. What
//! stands at the top of the crate are the nouns of the product, for those who embed it.
//!
//! # Publish from your own build tool
//!
//! ```no_run
//! use std::{collections::BTreeMap, sync::Arc};
//!
//! use edgepost::{
//!     ExchangeClient, Publisher, RegistryClient, ServiceDefinition, SigningKey,
//!     document::source::{Source, Variables},
//!     exchange::client::{Auth, ExchangeConfig},
//!     image::{LocalPlace, Packing, Place},
//!     publish::{self, Existing, Order, Registries},
//!     registry::client::{ClientConfig, Foreign},
//!     types::{Secret, SystemClock},
//! };
//!
//! # async fn publish() -> Result<(), Box<dyn std::error::Error>> {
//! let text = std::fs::read_to_string("service.definition.json")?;
//! let source = Source::read("service.definition.json", &text, &Variables::new())?;
//! let (definition, _warnings) = ServiceDefinition::from_source(&source)?;
//!
//! let password = Secret::new(std::fs::read_to_string("ann.password")?);
//! let auth = Auth::User { org: "acme".parse()?, name: "ann".parse()?, password };
//! let config = ExchangeConfig::new("https://hub.example/v1", "acme".parse()?, auth);
//! let key = SigningKey::from_pem(&std::fs::read_to_string("release.key.pem")?)?;
//! let exchange = ExchangeClient::new(&config)?;
//! let publisher = Publisher::new("acme".parse()?, exchange, vec![key], Arc::new(SystemClock));
//!
//! let registry = RegistryClient::new(ClientConfig::default());
//! let registries = Registries { push: registry.clone(), pull: registry };
//! let layout = Place::Local(LocalPlace::Layout("build/image".into(), None));
//! let order = Order {
//!     definition,
//!     operator: None,
//!     policy: None,
//!     logins: Vec::new(),
//!     registry_ca: BTreeMap::new(),
//!     wait: std::time::Duration::ZERO,
//!     sources: vec![publish::Source { image: None, place: layout }],
//!     packing: Packing::default(),
//!     foreign: Foreign::LeaveOut,
//!     existing: Existing::Refuse,
//! };
//! let published = publisher.publish(&order, &registries, &()).await?;
//! println!("{} as {}", published.key, published.images[0].image);
//! # Ok(())
//! # }
//! ```
//!
//! # Verify without any network
//!
//! ```no_run
//! use edgepost::{Envelope, Trust, Verified, document::ServiceBody, trust::TrustRoot};
//!
//! # fn verify() -> Result<(), Box<dyn std::error::Error>> {
//! let chain = [Envelope::from_json(&std::fs::read("trust-1.json")?)?];
//! let root = TrustRoot::Pinned(std::fs::read_to_string("pin")?.trim().parse()?);
//! let trust = Trust::walk(&chain, root)?.ok_or("there is no trust document")?;
//!
//! let envelope = Envelope::from_json(&std::fs::read("hello.json")?)?;
//! let service: Verified<ServiceBody> =
//!     trust.open(&envelope, &"service/hello_1.0.0_amd64".parse()?)?;
//! println!("{}", service.body().definition.label);
//! # Ok(())
//! # }
//! ```

pub mod agent;
pub mod audit;
pub mod authority;
pub mod bundle;
pub mod claim;
pub mod cli;
pub mod data_parts;
pub mod disk_space;
pub mod document;
pub mod exchange;
pub mod hub;
pub mod image;
pub mod listener;
pub mod log_limiter;
pub mod login;
pub mod private_file;
pub mod proxies;
pub mod publish;
mod recent_map;
pub mod registry;
pub mod sign;
pub mod text_file;
pub mod trust;
pub mod types;

pub use agent::Agent;
pub use document::{Constraint, Pattern, ServiceDefinition};
pub use exchange::{client::ExchangeClient, server::ExchangeServer};
pub use hub::Hub;
pub use publish::Publisher;
pub use registry::{client::RegistryClient, server::RegistryServer};
pub use sign::{Envelope, SigningKey};
pub use trust::{Trust, Verified};
pub use types::{Digest, ImageRef, NodeRef, OrgId, PinnedImage, ServiceId};
