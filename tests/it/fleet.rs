//! What a fleet costs: each node's share of what is published, in bytes on the wire.

use std::{thread, time::Duration};

use crate::support::{
    hub::Hub,
    image::{publish_hello, publish_pattern},
    link::Link,
    node::Node,
    thief,
};

/// How many documents the organization has besides.
const DOCUMENTS: usize = 1000;
/// What a publish may cost a node that it does not concern, in bytes.
const MOST: u64 = 4096;

/// A node of which every byte is counted.
struct Counted {
    hub: Hub,
    node: Node,
    link: Link,
}

impl Counted {
    fn bytes(&self) -> u64 {
        self.link.up() + self.link.down()
    }

    /// What has passed once nothing has for a while.
    fn quiet(&self) -> u64 {
        let mut before = self.bytes();
        loop {
            thread::sleep(Duration::from_millis(1500));
            let now = self.bytes();
            if now == before {
                return now;
            }
            before = now;
        }
    }

    fn stamp(&self) -> u64 {
        self.node.status()["stamp_seq"].as_u64().expect("it has a stamp")
    }

    /// What it costs until the node stands where the exchange does.
    fn cost(&self, change: impl FnOnce(&Hub)) -> u64 {
        let before = self.quiet();
        change(&self.hub);
        let newest = thief::stamp(&self.hub).seq;
        for _ in 0..300 {
            if self.stamp() == newest {
                return self.quiet() - before;
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!("the node is at stamp {} of {newest}", self.stamp());
    }
}

#[test]
fn a_publish_costs_each_node_little_whatever_else_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 1000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    thief::fill(&hub.data(), DOCUMENTS);
    let link = Link::to(hub.address());
    let direct = hub.publisher.clone();
    hub.publisher.set("EDGEPOST_EXCHANGE_URL", format!("http://{}/v1", link.address()));
    let node = Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);
    hub.publisher = direct;
    let agent = node.start();
    node.wait_for(&[&format!("acme/hello_1.0.0_{}", edgepost::types::Arch::of_this_machine())]);
    let counted = Counted { hub, node, link };
    let whole = counted.quiet();
    assert!(whole > 100_000, "the first catalog comes whole, not in {whole} bytes");

    let cost = counted.cost(|hub| drop(publish_hello(hub, "2.0.0", 1000, &[]).good()));

    println!("{DOCUMENTS} documents: one more costs a node {cost} bytes, all of them {whole}");
    assert!(cost < MOST, "{cost} bytes");

    // What cannot be told in changes comes whole.
    let cost = counted.cost(|hub| {
        thief::fill(&hub.data(), DOCUMENTS + 1);
        publish_hello(hub, "3.0.0", 1000, &[]).good();
    });
    assert!(cost > 100_000, "{cost} bytes");

    // So does what was told falsely: the stamp's hash decides.
    agent.stop();
    let before = counted.quiet();
    publish_hello(&counted.hub, "4.0.0", 1000, &[]).good();
    thief::misreport_changes(&counted.hub.data());
    counted.node.settle().good();
    assert_eq!(counted.stamp(), thief::stamp(&counted.hub).seq);
    let cost = counted.quiet() - before;
    assert!(cost > 100_000, "{cost} bytes");
}
