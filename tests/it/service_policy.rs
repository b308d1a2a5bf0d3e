//! A service's policy, published anew while the service stays what it is.

use edgepost::{
    document::ServicePolicy,
    publish::{DocumentPlan, PublishError},
    sign::SigningKey,
    trust::Statement,
    types::{Arch, ServiceId},
};
use serde_json::{Value, json};

use crate::support::{
    hub::Hub,
    image::{publish_hello, publish_pattern, publish_policy, write},
    node::Node,
    publisher::{key, publisher, wait},
    thief,
};

fn hello() -> ServiceId {
    let (org, url) = ("acme".parse().unwrap(), "hello".parse().unwrap());
    ServiceId { org, url, version: "1.0.0".parse().unwrap(), arch: Arch::of_this_machine() }
}

fn asks(constraint: &str) -> ServicePolicy {
    let policy =
        json!({"properties": [{"name": "tier", "value": "gold"}], "constraints": [constraint]});
    serde_json::from_value(policy).unwrap()
}

/// What is signed of the service, without its policy, as text; its number, and the policy.
fn signed(hub: &Hub) -> (String, u64, Option<Value>) {
    let envelope = thief::newest(hub, &format!("service/{}", hello().exchange_id()));
    let mut statement: Statement<Value> = serde_json::from_slice(envelope.payload()).unwrap();
    let policy = statement.body.as_object_mut().unwrap().shift_remove("policy");
    (statement.body.to_string(), statement.header.seq, policy)
}

#[test]
fn a_service_gets_another_policy_and_stays_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 10_000, &[]).good();
    publish_policy(&hub, "1.0.0");
    let file = json!({"properties": [{"name": "wants", "value": "hello"}], "constraints": []});
    let file = write(&hub, "node.json", &file);
    let node = Node::register(&hub, "n1", &["--policy", &file]);
    node.settle().good();
    assert_eq!(node.services().len(), 1);
    let before = signed(&hub);
    let ann = publisher(&hub, vec![key(&hub)]);
    let row = || hub.get(&format!("/v1/orgs/acme/services/{}/policy", hello().exchange_id()));

    let policy = asks("site == plant");
    assert_eq!(wait(ann.plan_service_policy(&hello(), Some(&policy))).unwrap(), DocumentPlan::New);
    let published = wait(ann.publish_service_policy(&hello(), Some(&policy))).unwrap();
    assert_eq!((published.seq, published.unchanged), (2, false));
    let after = signed(&hub);
    assert_eq!((&after.0, after.1), (&before.0, 2));
    assert_eq!(after.2.unwrap()["constraints"], json!(["site == plant"]));
    let (status, seen) = row();
    assert!(status == 200 && String::from_utf8_lossy(&seen).contains("site == plant"));
    node.settle().failed(9, "E0900");
    assert!(node.services().is_empty());
    assert!(wait(ann.publish_service_policy(&hello(), Some(&policy))).unwrap().unchanged);
    let other = asks("site == lab");
    assert_eq!(
        wait(ann.plan_service_policy(&hello(), Some(&other))).unwrap(),
        DocumentPlan::Different
    );

    assert_eq!(wait(ann.publish_service_policy(&hello(), None)).unwrap().seq, 3);
    assert_eq!(signed(&hub), (before.0, 3, None));
    assert_eq!(row().0, 404);
    node.settle().good();
    assert_eq!(node.services().len(), 1);
}

#[test]
fn nobody_signs_again_what_only_the_exchange_vouches_for() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let policy = asks("a == b");
    let try_as = |keys| wait(publisher(&hub, keys).publish_service_policy(&hello(), Some(&policy)));
    let refused = try_as(vec![key(&hub)]).unwrap_err();
    assert!(matches!(refused, PublishError::Absent(_)), "{refused:?}");
    publish_hello(&hub, "1.0.0", 10_000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    let refused = try_as(vec![SigningKey::generate()]).unwrap_err();
    assert!(matches!(refused, PublishError::NotOurs(_)), "{refused:?}");

    // An exchange that was taken over shows another service under this name.
    let honest = thief::newest(&hub, &format!("service/{}", hello().exchange_id()));
    let mut statement: Statement<Value> = serde_json::from_slice(honest.payload()).unwrap();
    statement.header.seq += 1;
    statement.body["definition"]["label"] = json!("evil");
    thief::list(&hub.data(), &statement.seal(&[&SigningKey::generate()]).unwrap());
    let refused = try_as(vec![key(&hub)]).unwrap_err();
    let PublishError::Trust(refusal) = &refused else { panic!("{refused:?}") };
    assert_eq!(refusal.attack(), "stranger");
}
