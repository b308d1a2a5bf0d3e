//! Which version a node runs of those that a pattern offers by priority: the agent with an engine in
//! which containers of one version do not stay up, and a clock that is moved by hand.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use edgepost::{
    agent::{
        Agent, AgentConfig,
        runtime::{
            Afterwards, Container, ContainerId, ContainerPlan, Nothing, Runtime, RuntimeError,
        },
    },
    exchange::api::ServiceState,
    types::{Clock as _, Digest, ManualClock, NodeRef, PinnedImage, SystemClock},
};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::{
    hub::Hub,
    image::{pattern, publish_hello, write},
    node::Node,
};

/// An engine that has to start the containers of one version again and again.
#[derive(Debug, Default)]
struct Frail {
    nothing: Nothing,
    bad: Mutex<&'static str>,
    looks: Mutex<i64>,
}

impl Frail {
    fn breaks(&self, version: &'static str) {
        *self.bad.lock().unwrap() = version;
    }
}

#[async_trait]
impl Runtime for Frail {
    fn name(&self) -> &'static str {
        "frail"
    }

    async fn has_image(&self, manifest: &Digest) -> Result<bool, RuntimeError> {
        self.nothing.has_image(manifest).await
    }

    async fn pull(&self, image: &PinnedImage) -> Result<(), RuntimeError> {
        self.nothing.pull(image).await
    }

    async fn list(&self, node: &NodeRef) -> Result<Vec<Container>, RuntimeError> {
        let mut containers = self.nothing.list(node).await?;
        let bad = *self.bad.lock().unwrap();
        let mut looks = self.looks.lock().unwrap();
        *looks += 1;
        for container in &mut containers {
            if container.service().is_some_and(|it| it.version.as_str() == bad) {
                container.restarts = *looks;
            }
        }
        Ok(containers)
    }

    async fn start(&self, plan: &ContainerPlan) -> Result<ContainerId, RuntimeError> {
        self.nothing.start(plan).await
    }

    async fn stop(&self, container: &Container, then: Afterwards) -> Result<(), RuntimeError> {
        self.nothing.stop(container, then).await
    }

    async fn revive(&self, container: &Container) -> Result<(), RuntimeError> {
        self.nothing.revive(container).await
    }
}

/// A pattern that offers 2.0.0, and 1.0.0 behind it.
fn in_turn(label: &str) -> Value {
    let version = |version: &str, turn: u64| {
        json!({"version": version, "priority": {"priority_value": turn, "retries": 2,
            "retry_durations": 60, "verified_durations": 300}})
    };
    let mut offer = pattern("1.0.0");
    offer["label"] = json!(label);
    offer["services"][0]["serviceVersions"] = json!([version("1.0.0", 2), version("2.0.0", 1)]);
    offer
}

/// A hub that offers two versions, and a node of it with its engine and its clock.
struct Story {
    hub: Hub,
    node: Node,
    engine: Arc<Frail>,
    clock: ManualClock,
    agent: Option<Agent>,
    _folder: tempfile::TempDir,
}

impl Story {
    fn begin() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let hub = Hub::start(folder.path());
        for version in ["1.0.0", "2.0.0"] {
            publish_hello(&hub, version, 5_000, &[]).good();
        }
        let file = write(&hub, "hello-everywhere.json", &in_turn("Hello"));
        hub.publisher.run(&["pattern", "publish", &file]).good();
        let node = Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);
        let clock = ManualClock::starting_at(SystemClock.now());
        let engine = Arc::new(Frail::default());
        Self { hub, node, engine, clock, agent: None, _folder: folder }
    }

    /// What runs after a pass `seconds` later.
    async fn after(&mut self, seconds: i64) -> Vec<String> {
        self.clock.advance(SignedDuration::from_secs(seconds));
        if self.agent.is_none() {
            let config = AgentConfig::new(self.node.data())
                .runtime(Arc::clone(&self.engine) as Arc<dyn Runtime>)
                .clock(Arc::new(self.clock.clone()))
                .watch(Duration::from_millis(20));
            self.agent = Some(Agent::open(config).await.unwrap());
        }
        let outcome = self.agent.as_mut().unwrap().run_once().await;
        let running = outcome.status.services.iter();
        let running = running.filter(|it| it.state == ServiceState::Running);
        running.map(|it| it.service.version.to_string()).collect()
    }

    /// The agent ends, and begins anew with the next pass.
    fn restart(&mut self) {
        self.agent = None;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_fails_too_often_gives_way_until_it_is_offered_anew() {
    let mut story = tokio::task::spawn_blocking(Story::begin).await.unwrap();
    story.engine.breaks("2.0.0");

    assert!(story.after(0).await.is_empty());
    for seconds in [5, 20] {
        assert_ne!(story.after(seconds).await, ["1.0.0"], "it has not had its chances yet");
    }
    assert_eq!(story.after(1).await, ["1.0.0"]);
    assert_eq!(story.after(3600).await, ["1.0.0"], "time alone brings nothing back");
    story.restart();
    assert_eq!(story.after(1).await, ["1.0.0"], "nor does a restart");

    story.engine.breaks("");
    tokio::task::block_in_place(|| {
        let file = write(&story.hub, "hello-everywhere.json", &in_turn("Hello again"));
        story.hub.publisher.run(&["pattern", "publish", &file]).good();
    });
    assert_eq!(story.after(1).await, ["2.0.0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_has_proved_itself_is_kept_whatever_happens_later() {
    let mut story = tokio::task::spawn_blocking(Story::begin).await.unwrap();
    for seconds in [0, 150, 150, 1] {
        assert_eq!(story.after(seconds).await, ["2.0.0"]);
    }
    story.engine.breaks("2.0.0");
    for _ in 0..6 {
        assert_eq!(story.after(5).await, ["2.0.0"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_keeps_ending_before_it_has_proved_itself_gives_way() {
    let mut story = tokio::task::spawn_blocking(Story::begin).await.unwrap();
    assert_eq!(story.after(0).await, ["2.0.0"]);
    assert_eq!(story.after(100).await, ["2.0.0"]);

    story.engine.breaks("2.0.0");
    for _ in 0..3 {
        story.after(5).await;
    }

    assert_eq!(story.after(1).await, ["1.0.0"]);
}
