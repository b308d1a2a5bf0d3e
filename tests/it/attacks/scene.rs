//! Where an attack takes place: an organization, somebody hostile between it and a node, and that node.

use std::{cell::RefCell, fs};

use edgepost::{
    sign::{Envelope, SigningKey},
    trust::{Catalog, CatalogEntry, Stamp, StampedCatalog, Statement},
    types::{Arch, Digest},
};
use serde_json::Value;

use crate::support::{
    enemy::Enemy,
    hub::Hub,
    image::{publish_hello, publish_pattern},
    node::Node,
    program::{Outcome, Running},
    publisher, thief,
};

/// What every node of these stories takes.
pub const PATTERN: &str = "pattern/hello-everywhere";

/// Whose organization is attacked.
#[derive(Debug, Clone, Copy)]
pub enum Stage {
    /// One that other attacks are made on, too, and that is as before after each.
    Shared,
    /// One of its own.
    Own,
}

/// An attack on one node.
pub struct Scene<'a> {
    pub hub: &'a Hub,
    pub enemy: Enemy,
    pub node: Node,
    running: RefCell<Option<Running>>,
}

impl<'a> Scene<'a> {
    /// Publishes version 1, keeps what an eavesdropper would have kept of it, and publishes version 2.
    pub fn set(hub: &Hub) {
        publish_hello(hub, "1.0.0", 1000, &[]).good();
        publish_pattern(hub, "1.0.0");
        let stamp = hub.get("/v1/orgs/acme/edgepost/stamp").1;
        fs::write(hub.folder().join("stamp.before"), stamp).unwrap();
        fs::write(hub.folder().join("catalog.before"), catalog(hub).to_bytes()).unwrap();
        publish_hello(hub, "2.0.0", 1000, &[]).good();
        publish_pattern(hub, "2.0.0");
    }

    /// A node called `name`, which runs version 1 since it knows of no other yet.
    pub fn on(hub: &'a Hub, name: &str) -> Self {
        let enemy = Enemy::before(hub.address());
        let node =
            Node::register_at(hub, enemy.address(), name, &["--pattern", "hello-everywhere"]);
        let scene = Self { hub, enemy, node, running: RefCell::default() };
        scene.goes_back();
        scene.settle().good();
        assert_eq!(scene.node.services(), [service("1.0.0")]);
        scene.enemy.repents();
        scene
    }

    /// The process of a hub that no other attack needs.
    pub fn own(&self, running: Running) {
        self.running.replace(Some(running));
    }

    /// Restarts such a hub with `more` arguments, after `change`.
    pub fn restart_hub(&self, change: impl FnOnce(), more: &[&str]) {
        let running = self.running.take().expect("it has a hub of its own");
        self.running.replace(Some(self.hub.replace_after(running, change, more)));
    }

    /// One pass of the agent.
    pub fn settle(&self) -> Outcome {
        self.node.settle()
    }

    /// What the node says of itself.
    pub fn status(&self) -> Value {
        self.node.status()
    }

    /// The node's entry in the list of nodes.
    pub fn listed(&self) -> Value {
        let list = self.hub.publisher.run(&["node", "list", "--json"]).good().json();
        let id = self.status()["node"].as_str().unwrap().to_owned();
        list[&id].clone()
    }

    /// Replays what the exchange said honestly when version 1 was the newest.
    pub fn goes_back(&self) {
        let read = |name: &str| fs::read(self.hub.folder().join(name)).unwrap();
        let bytes = read("catalog.before");
        let version = Catalog::from_bytes(&bytes).unwrap().version;
        self.enemy.says("/edgepost/stamp", read("stamp.before"));
        self.enemy.says(&format!("/edgepost/catalog/{version}"), bytes);
    }

    /// Shows a state that nobody published: the newest catalog after `change`, and a stamp of it by the
    /// exchange's stolen key.
    pub fn shows(&self, change: impl FnOnce(&mut Catalog)) {
        let mut catalog = catalog(self.hub);
        catalog.version += 1;
        change(&mut catalog);
        let bytes = catalog.to_bytes();
        self.enemy.says(&format!("/edgepost/catalog/{}", catalog.version), &bytes);
        let (version, length) = (catalog.version, bytes.len() as u64);
        let pinned = StampedCatalog { version, sha256: Digest::of(&bytes), length };
        self.stamps(|stamp| {
            stamp.seq += 1;
            stamp.catalog = pinned;
        });
    }

    /// Shows the newest stamp after `change`, signed by the exchange's stolen key.
    pub fn stamps(&self, change: impl FnOnce(&mut Stamp)) {
        let mut stamp = thief::stamp(self.hub);
        change(&mut stamp);
        let pem = fs::read_to_string(self.hub.data().join("stamp-key.pem")).unwrap();
        let key = SigningKey::from_pem(&pem).unwrap();
        self.enemy.says("/edgepost/stamp", stamp.seal(&key).to_json());
    }

    /// Lists `envelope` as what `key` names, and hands it out.
    pub fn lists_as(&self, key: &str, envelope: &Envelope) {
        let said: Statement<Value> = serde_json::from_slice(envelope.payload()).unwrap();
        let (epoch, seq, state) = (said.header.epoch, said.header.seq, said.header.state);
        self.lists_entry(
            key,
            envelope,
            CatalogEntry { epoch, seq, sha256: envelope.digest(), state },
        );
    }

    /// The same with an entry that says of it whatever it says.
    pub fn lists_entry(&self, key: &str, envelope: &Envelope, entry: CatalogEntry) {
        self.shows(|catalog| {
            catalog.entries.insert(key.parse().unwrap(), entry);
        });
        self.hands_out(&envelope.digest(), &envelope.to_json());
    }

    /// Hands out `bytes` to whoever asks for the document `sha256`.
    pub fn hands_out(&self, sha256: &Digest, bytes: &[u8]) {
        self.enemy.says(&format!("/edgepost/documents/{}", sha256.hex()), bytes);
        self.enemy.says(&format!("/edgepost/documents/{sha256}"), bytes);
    }

    /// The newest pattern, changed by `change` and signed by `key`.
    pub fn pattern(
        &self,
        key: &SigningKey,
        change: impl FnOnce(&mut Statement<Value>),
    ) -> Envelope {
        let newest = thief::newest(self.hub, PATTERN);
        let mut statement = serde_json::from_slice(newest.payload()).unwrap();
        change(&mut statement);
        statement.seal(&[key]).unwrap()
    }

    /// The publisher's key, which was stolen.
    pub fn key(&self) -> SigningKey {
        publisher::key(self.hub)
    }
}

/// The newest catalog, as the exchange has it.
pub fn catalog(hub: &Hub) -> Catalog {
    let version = thief::stamp(hub).catalog.version;
    let (status, bytes) = hub.get(&format!("/v1/orgs/acme/edgepost/catalog/{version}"));
    assert_eq!(status, 200);
    Catalog::from_bytes(&bytes).unwrap()
}

/// The service in this version, for this machine.
pub fn service(version: &str) -> String {
    format!("acme/{}", service_key(version).trim_start_matches("service/"))
}

/// The key of its document.
pub fn service_key(version: &str) -> String {
    format!("service/hello_{version}_{}", Arch::of_this_machine())
}
