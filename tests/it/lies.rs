//! An exchange that shows a publisher what was never signed, to have it signed.

use edgepost::{
    document::Pattern,
    publish::{DocumentPlan, Existing, PublishError, Publisher},
    sign::{Envelope, SigningKey},
    trust::{State, Statement},
    types::{Arch, PatternId},
};
use serde_json::{Value, json};

use crate::support::{
    hub::Hub,
    image::{publish_hello, publish_pattern},
    publisher::{key, publisher, wait},
    thief,
};

const PATTERN: &str = "pattern/hello-everywhere";

/// A hub with a service and a pattern, and the publisher of both.
fn published(folder: &tempfile::TempDir) -> (Hub, Publisher) {
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 10_000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    let ann = publisher(&hub, vec![key(&hub)]);
    (hub, ann)
}

fn statement(envelope: &Envelope) -> Statement<Value> {
    serde_json::from_slice(envelope.payload()).unwrap()
}

/// What stands under `key`, changed by `change`, and signed by nobody whom anybody trusts.
fn made_up(hub: &Hub, key: &str, change: impl FnOnce(&mut Statement<Value>)) -> Envelope {
    let mut statement = statement(&thief::newest(hub, key));
    change(&mut statement);
    statement.seal(&[&SigningKey::generate()]).unwrap()
}

#[test]
fn who_withdraws_one_document_signs_nothing_about_another() {
    let folder = tempfile::tempdir().unwrap();
    let (hub, ann) = published(&folder);
    let service = format!("service/hello_1.0.0_{}", Arch::of_this_machine());
    let invented = made_up(&hub, &service, |it| it.body = json!({"evil": true}));
    let foreign = made_up(&hub, PATTERN, |it| it.header.org = "others".parse().unwrap());
    for lie in [invented, thief::newest(&hub, &service), foreign] {
        thief::show(&hub.data(), PATTERN, &lie);
        let refused = wait(ann.withdraw(&PATTERN.parse().unwrap())).unwrap_err();
        let PublishError::Trust(refusal) = &refused else { panic!("{refused:?}") };
        assert!(["relabel", "mix-and-match"].contains(&refusal.attack()), "{refusal:?}");
    }
    let service = statement(&thief::newest(&hub, &service)).header;
    assert_eq!((service.seq, service.state), (1, State::Active));
}

#[test]
fn a_withdrawal_repeats_nothing_of_what_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let (hub, ann) = published(&folder);
    let lie = made_up(&hub, PATTERN, |it| it.body = json!({"evil": true}));
    thief::show(&hub.data(), PATTERN, &lie);
    assert!(wait(ann.withdraw(&PATTERN.parse().unwrap())).unwrap());
    let signed = statement(&thief::newest(&hub, PATTERN));
    assert_eq!((signed.header.key().to_string().as_str(), signed.header.seq), (PATTERN, 2));
    assert_eq!((signed.header.state, signed.body), (State::Withdrawn, Value::Null));
    assert!(!wait(ann.withdraw(&PATTERN.parse().unwrap())).unwrap());
}

#[test]
fn what_no_trusted_key_signed_is_not_unchanged_and_numbers_end() {
    let folder = tempfile::tempdir().unwrap();
    let (hub, ann) = published(&folder);
    let id: PatternId = "hello-everywhere".parse().unwrap();
    let body = statement(&thief::newest(&hub, PATTERN)).body;
    let pattern: Pattern = serde_json::from_value(body).unwrap();
    let plan = || wait(ann.plan_document(&id, &pattern)).unwrap();
    let publish = || wait(ann.publish_document(&id, &pattern, Existing::Refuse));
    assert_eq!(plan(), DocumentPlan::Unchanged);
    thief::show(&hub.data(), PATTERN, &made_up(&hub, PATTERN, |_| ()));
    assert_eq!(plan(), DocumentPlan::SignedAnew);
    let published = publish().unwrap();
    assert_eq!((published.seq, published.unchanged), (2, false));
    assert_eq!(plan(), DocumentPlan::Unchanged);
    assert!(publish().unwrap().unchanged);

    let last = made_up(&hub, PATTERN, |it| it.header.seq = (1 << 53) - 1);
    thief::show(&hub.data(), PATTERN, &last);
    assert!(matches!(publish().unwrap_err(), PublishError::SeqUsedUp(_)));
    let withdrawn = wait(ann.withdraw(&PATTERN.parse().unwrap()));
    assert!(matches!(withdrawn.unwrap_err(), PublishError::SeqUsedUp(_)));
}
