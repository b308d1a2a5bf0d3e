//! What becomes of a document that is published, and of one that should not be.

use super::*;
use crate::{
    exchange::api::{NodeReport, RefusalReport, RefusingNodes},
    trust::{Catalog, Marks, Trust, TrustPin, Verified},
    types::{Digest, DocumentKey, DocumentKind},
};

#[tokio::test]
async fn a_published_service_is_vouched_for_from_the_pin_to_the_document() {
    let lab = Lab::start().await;
    let published = lab.publish(lab.hello(1, "Hello")).await.unwrap();
    assert!(!published.unchanged);

    let first = lab.ada.trust(1).await.unwrap().unwrap();
    let trust = Trust::pinned(&first, &TrustPin(lab.first_trust().await.digest())).unwrap();
    assert!(lab.ada.trust(2).await.unwrap().is_none());
    let now = lab.clock.now();
    let stamp = trust.open_stamp(&lab.ada.stamp().await.unwrap(), now).unwrap();
    assert_eq!(stamp.catalog.version, published.catalog_version);
    let bytes = lab.ada.catalog(stamp.catalog.version).await.unwrap();
    let (_, catalog): (Marks, Catalog) =
        Marks::default().admit(&trust, &stamp, &bytes, now).unwrap();
    let key = DocumentKey::from(&hello());
    let envelope = lab.ada.document(&catalog.entries[&key].sha256).await.unwrap();
    let document: Verified<ServiceBody> = catalog.open(&trust, &envelope, &key).unwrap();
    assert_eq!(document.body().definition.label, "Hello");
    let newest = lab.ada.newest_document(&key).await.unwrap().unwrap();
    assert_eq!(newest.to_json(), envelope.to_json());
}

#[tokio::test]
async fn hzn_sees_what_is_published() {
    let lab = Lab::start().await;
    let mut body = service_body(&hello(), "Hello", &json!([]));
    body["policy"] = json!({"properties": [{"name": "x", "value": 1}], "constraints": ["a == b"]});
    body["definition"]["deploymentSignature"] = json!("sig");
    let envelope = lab.sealed((&hello()).into(), 1, State::Active, &body);
    lab.publish(envelope).await.unwrap();

    let seen = lab.ada.service(&hello()).await.unwrap().unwrap();
    assert_eq!((seen.owner.as_str(), seen.value.label.as_str()), ("acme/ada", "Hello"));
    assert_eq!(body["definition"]["deployment"], seen.value.deployment);
    assert_eq!(seen.value.deployment_signature, "sig");
    let policy = lab.ada.service_policy(&hello()).await.unwrap().unwrap().value;
    assert_eq!(policy.constraints, ["a == b"]);

    lab.publish(lab.hello(2, "Hello again")).await.unwrap();
    let seen = lab.ada.service(&hello()).await.unwrap().unwrap();
    assert_eq!(seen.value.label, "Hello again");
    assert!(lab.ada.service_policy(&hello()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_forged_signature_is_refused_by_the_name_of_the_attack() {
    let lab = Lab::start().await;
    let body = service_body(&hello(), "Hello", &json!([]));
    let stranger = SigningKey::generate();
    let forged = lab.sealed_by(&stranger, (&hello()).into(), 1, State::Active, &body);
    let refused = lab.publish(forged).await.unwrap_err();
    let ExchangeError::SignatureRefused { attack, .. } = refused else { panic!("{refused:?}") };
    assert_eq!(attack, "stranger");
    assert!(lab.ada.service(&hello()).await.unwrap().is_none());

    // Signed, but its definition is of another service than its header.
    let relabelled = service_body(&service("other"), "Hello", &json!([]));
    let relabelled = lab.sealed((&hello()).into(), 1, State::Active, &relabelled);
    let refused = lab.publish(relabelled).await.unwrap_err();
    let ExchangeError::SignatureRefused { attack, .. } = refused else { panic!("{refused:?}") };
    assert_eq!(attack, "relabel");
}

#[tokio::test]
async fn the_same_bytes_again_change_nothing() {
    let lab = Lab::start().await;
    let envelope = lab.hello(1, "Hello");
    let first = lab.publish(envelope.clone()).await.unwrap();
    let newest = lab.ada.newest_change().await.unwrap();
    let again = lab.publish(envelope).await.unwrap();
    assert!(again.unchanged);
    assert_eq!((again.sha256, again.catalog_version), (first.sha256, first.catalog_version));
    assert_eq!(lab.ada.newest_change().await.unwrap(), newest);
}

#[tokio::test]
async fn what_an_older_exchange_deleted_comes_back_with_the_same_bytes() {
    let lab = Lab::start().await;
    let publication =
        Publication { envelope: lab.hello(1, "Hello"), credentials: vec![login("t")] };
    lab.ada.publish(&publication).await.unwrap();
    lab.sql("DELETE FROM services").await;
    assert!(lab.ada.publish(&publication).await.unwrap().unchanged);
    assert!(lab.ada.service(&hello()).await.unwrap().is_some());
    assert_eq!(lab.ada.masked_credentials(&hello().exchange_id()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn other_bytes_need_a_higher_number() {
    let lab = Lab::start().await;
    lab.publish(lab.hello(2, "Hello")).await.unwrap();
    for seq in [1, 2] {
        let refused = lab.publish(lab.hello(seq, "Goodbye")).await.unwrap_err();
        assert!(matches!(refused, ExchangeError::Conflict { .. }), "{refused:?}");
    }
    assert_eq!(lab.ada.service(&hello()).await.unwrap().unwrap().value.label, "Hello");
    lab.publish(lab.hello(3, "Goodbye")).await.unwrap();
}

#[tokio::test]
async fn of_two_who_publish_at_once_one_wins() {
    let lab = Lab::start().await;
    let (one, two) =
        tokio::join!(lab.publish(lab.hello(1, "one")), lab.publish(lab.hello(1, "two")),);
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
}

#[tokio::test]
async fn a_key_alone_does_not_replace_what_others_own() {
    let lab = Lab::start().await;
    lab.publish(lab.hello(1, "Hello")).await.unwrap();
    let bob = lab.as_user("bob");
    let publication = Publication { envelope: lab.hello(2, "Bob's"), credentials: Vec::new() };
    let refused = bob.publish(&publication).await.unwrap_err();
    assert!(matches!(refused, ExchangeError::Denied { .. }), "{refused:?}");

    // Nor once the row that hzn sees is gone.
    lab.sql("DELETE FROM services").await;
    let refused = bob.publish(&publication).await.unwrap_err();
    assert!(matches!(refused, ExchangeError::Denied { .. }), "{refused:?}");

    // Nor does a node publish.
    let (node, _) = lab.node("n1", "").await;
    let refused = node.publish(&publication).await.unwrap_err();
    assert!(matches!(refused, ExchangeError::Denied { .. }), "{refused:?}");
}

#[tokio::test]
async fn what_is_withdrawn_leaves_hzn_but_never_the_catalog() {
    let lab = Lab::start().await;
    lab.publish(lab.hello(1, "Hello")).await.unwrap();
    let withdrawn = lab.sealed((&hello()).into(), 2, State::Withdrawn, &Value::Null);
    let published = lab.publish(withdrawn).await.unwrap();
    assert!(lab.ada.service(&hello()).await.unwrap().is_none());
    let catalog = lab.ada.catalog(published.catalog_version).await.unwrap();
    let catalog = Catalog::from_bytes(&catalog).unwrap();
    assert_eq!(catalog.entries[&DocumentKey::from(&hello())].state, State::Withdrawn);

    lab.publish(lab.hello(3, "Hello")).await.unwrap();
    assert!(lab.ada.service(&hello()).await.unwrap().is_some());
}

#[tokio::test]
async fn patterns_and_policies_are_published_alike() {
    let lab = Lab::start().await;
    let pattern = Subject::Pattern("p".parse().unwrap());
    let early = lab.sealed(pattern.clone(), 1, State::Active, &pattern_body(&["hello"]));
    let refused = lab.publish(early.clone()).await.unwrap_err();
    assert!(matches!(refused, ExchangeError::Invalid { .. }), "{refused:?}");
    lab.publish(lab.hello(1, "Hello")).await.unwrap();
    lab.publish(early).await.unwrap();
    let seen = lab.ada.find_pattern(&"p".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(seen.value.services[0].service_url.as_str(), "hello");

    let policy = json!({"label": "d", "constraints": ["site == lab"], "service": {
        "name": "hello", "org": "acme", "arch": "*", "serviceVersions": [{"version": "1.0.0"}]}});
    let policy = lab.sealed(Subject::Policy("d".parse().unwrap()), 1, State::Active, &policy);
    lab.publish(policy).await.unwrap();
    let seen = lab.ada.find_policy(&"d".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(seen.value.constraints, ["site == lab"]);
}

#[tokio::test]
async fn before_the_first_trust_nothing_is_published() {
    let lab = Lab::distrustful().await;
    let refused = lab.publish(lab.hello(1, "Hello")).await.unwrap_err();
    assert!(refused.is_not_found(), "{refused:?}");
}

#[tokio::test]
async fn a_node_reports_about_itself_alone() {
    let lab = Lab::start().await;
    let (node, _) = lab.node("n1", "").await;
    let report = NodeReport {
        agent_version: "0.1.0".to_owned(),
        stamp_seq: 7,
        stamp_sha256: None,
        services: Vec::new(),
        refusals: vec![RefusalReport {
            document: "stamp".to_owned(),
            attack: "freeze".to_owned(),
            detail: "stamp 7: expired".to_owned(),
            at: lab.clock.now(),
        }],
        unfit: Vec::new(),
    };
    let id = "n1".parse().unwrap();
    assert!(lab.ada.report(&id).await.unwrap().is_none());
    node.put_report(&id, &report).await.unwrap();
    let received = lab.ada.report(&id).await.unwrap().unwrap();
    assert_eq!((received.report, received.received), (report.clone(), lab.clock.now()));
    lab.node("n2", "").await;
    let refused = node.put_report(&"n2".parse().unwrap(), &report).await.unwrap_err();
    assert!(matches!(refused, ExchangeError::Denied { .. }), "{refused:?}");
    let refused = lab.as_user("bob").report(&id).await.unwrap_err();
    assert!(matches!(refused, ExchangeError::Denied { .. }), "{refused:?}");
}

#[tokio::test]
async fn the_nodes_that_refuse_something_are_told_to_those_who_may_see_them() {
    let lab = Lab::start().await;
    let (refusing, _) = lab.node("n1", "").await;
    let (content, _) = lab.node("n2", "").await;
    let refusal = |attack: &str| RefusalReport {
        document: "stamp".to_owned(),
        attack: attack.to_owned(),
        detail: "\"refusals\":[]".to_owned(),
        at: lab.clock.now(),
    };
    let report = |refusals| NodeReport {
        agent_version: "0.1.0".to_owned(),
        stamp_seq: 7,
        stamp_sha256: None,
        services: Vec::new(),
        refusals,
        unfit: Vec::new(),
    };
    let refusals = vec![refusal("freeze"), refusal("rollback"), refusal(&"x".repeat(65))];
    refusing.put_report(&"n1".parse().unwrap(), &report(refusals)).await.unwrap();
    content.put_report(&"n2".parse().unwrap(), &report(Vec::new())).await.unwrap();

    let told = lab.ada.refusing_nodes().await.unwrap().nodes;
    let names = ["freeze", "rollback"].map(str::to_owned).into();
    assert_eq!(told, [("n1".parse().unwrap(), names)].into());
    assert_eq!(refusing.refusing_nodes().await.unwrap().nodes, told, "of itself");
    for other in [&content, &lab.as_user("bob")] {
        assert!(other.refusing_nodes().await.unwrap().nodes.is_empty());
    }
    refusing.put_report(&"n1".parse().unwrap(), &report(Vec::new())).await.unwrap();
    assert!(lab.ada.refusing_nodes().await.unwrap().nodes.is_empty());
}

#[tokio::test]
async fn nodes_that_were_shown_two_truths_are_told() {
    let lab = Lab::start().await;
    let report = |stamp_seq, stamp: &[u8]| NodeReport {
        agent_version: "0.1.0".to_owned(),
        stamp_seq,
        stamp_sha256: Some(Digest::of(stamp)),
        services: Vec::new(),
        refusals: Vec::new(),
        unfit: Vec::new(),
    };
    let mut nodes = Vec::new();
    for (name, seq, stamp) in
        [("n1", 7, "one"), ("n2", 7, "one"), ("n3", 6, "another"), ("n4", 7, "another")]
    {
        let (node, _) = lab.node(name, "").await;
        node.put_report(&name.parse().unwrap(), &report(seq, stamp.as_bytes())).await.unwrap();
        nodes.push(node);
    }
    let split = |told: RefusingNodes| {
        let names = told.nodes.into_iter().map(|(id, names)| (id.to_string(), names));
        names.collect::<Vec<_>>()
    };
    let as_one = |name: &str| (name.to_owned(), ["split-view".to_owned()].into());
    let told = split(lab.ada.refusing_nodes().await.unwrap());
    assert_eq!(told, ["n1", "n2", "n4"].map(as_one));
    assert_eq!(split(nodes[3].refusing_nodes().await.unwrap()), [as_one("n4")]);

    // It is over once they have seen the same.
    nodes[3].put_report(&"n4".parse().unwrap(), &report(8, b"next")).await.unwrap();
    assert!(lab.ada.refusing_nodes().await.unwrap().nodes.is_empty());
}

#[tokio::test]
async fn the_history_lists_what_was_replaced_and_withdrawn_too() {
    let lab = Lab::start().await;
    let mut published = Vec::new();
    for seq in 1..=2 {
        published.push(lab.publish(lab.hello(seq, "Hello")).await.unwrap().sha256);
    }
    let withdrawn = lab.sealed((&hello()).into(), 3, State::Withdrawn, &json!(null));
    published.push(lab.publish(withdrawn).await.unwrap().sha256);
    published.sort_unstable();

    let history = lab.ada.document_history(DocumentKind::Service).await.unwrap().unwrap();
    let digests: Vec<_> = history.iter().map(|it| it.sha256).collect();
    assert_eq!(digests, published);
    assert!(history.iter().all(|it| it.key == DocumentKey::from(&hello())));
    for digest in digests {
        assert_eq!(lab.ada.document(&digest).await.unwrap().digest(), digest);
    }
    let patterns = lab.ada.document_history(DocumentKind::Pattern).await.unwrap().unwrap();
    assert!(patterns.is_empty());
}
