//! One truth: what has a signed document is changed and removed by signed documents alone.

use super::*;
use crate::{
    exchange::api::NodePolicyRequest,
    types::{DocumentKey, NodeId},
};

/// The key of each kind of document that the exchange projects to a row.
fn keys() -> [DocumentKey; 3] {
    [(&hello()).into(), "pattern/p".parse().unwrap(), "policy/d".parse().unwrap()]
}

async fn publish_all(lab: &Lab) {
    lab.publish(lab.hello(1, "Hello")).await.unwrap();
    let pattern = Subject::Pattern("p".parse().unwrap());
    let pattern = lab.sealed(pattern, 1, State::Active, &pattern_body(&["hello"]));
    lab.publish(pattern).await.unwrap();
    let policy = json!({"label": "d", "constraints": [], "service": {
        "name": "hello", "org": "acme", "arch": "*", "serviceVersions": [{"version": "1.0.0"}]}});
    let policy = lab.sealed(Subject::Policy("d".parse().unwrap()), 1, State::Active, &policy);
    lab.publish(policy).await.unwrap();
}

/// What a refusal says; it has to be one of rights.
fn refusal<T: std::fmt::Debug>(refused: Result<T, ExchangeError>) -> String {
    match refused.unwrap_err() {
        ExchangeError::Denied { msg, .. } => msg,
        other => panic!("{other:?}"),
    }
}

/// A row as Horizon's API takes it, without what the exchange adds.
async fn row(lab: &Lab, key: &DocumentKey) -> Value {
    let mut row = lab.ada.row(key).await.unwrap().unwrap();
    row.as_object_mut()
        .unwrap()
        .retain(|name, _| !["owner", "lastUpdated", "created"].contains(&name.as_str()));
    row
}

#[tokio::test]
async fn horizons_api_neither_changes_nor_removes_what_is_signed() {
    let lab = Lab::start().await;
    publish_all(&lab).await;
    let root = client(&lab.server, "root", "root", "pw").about(acme());
    for (key, change, removal) in [
        (
            &keys()[0],
            "edgepost publish FILE --overwrite",
            "edgepost service remove hello_1.0.0_amd64",
        ),
        (&keys()[1], "edgepost pattern publish FILE --name p", "edgepost pattern remove p"),
        (&keys()[2], "edgepost policy publish d FILE", "edgepost policy remove d"),
    ] {
        let before = row(&lab, key).await;
        let mut other = before.clone();
        other["label"] = json!("changed");
        if other.get("deployment").is_some() {
            other["deploymentSignature"] = json!("sig");
        }
        for user in [&lab.ada, &root] {
            let said = refusal(user.replace_row(key, &other).await);
            assert!(said.contains("signed document") && said.ends_with(change), "{said}");
            let said = refusal(user.remove_row(key).await);
            assert!(said.contains("signed document") && said.ends_with(removal), "{said}");
            let said = refusal(user.create_row(key, &other).await);
            assert!(said.ends_with(change), "{said}");
        }
        assert_eq!(row(&lab, key).await, before);
    }
}

#[tokio::test]
async fn refusal_says_nothing_to_those_who_may_not_change_the_name_anyway() {
    let lab = Lab::start().await;
    publish_all(&lab).await;
    for key in &keys() {
        let said = refusal(lab.as_user("bob").remove_row(key).await);
        assert!(said.contains("does not have authorization"), "{said}");
    }
}

#[tokio::test]
async fn policy_of_a_signed_service_is_signed_with_it() {
    let lab = Lab::start().await;
    publish_all(&lab).await;
    let policy = json!({"properties": [], "constraints": ["a == b"]});
    let said = refusal(lab.ada.put_service_policy(&hello(), &policy).await);
    assert!(said.ends_with("edgepost policy publish --service hello_1.0.0_amd64 FILE"), "{said}");
    let said = refusal(lab.ada.remove_service_policy(&hello()).await);
    assert!(said.ends_with("edgepost policy remove --service hello_1.0.0_amd64"), "{said}");
    assert!(lab.ada.service_policy(&hello()).await.unwrap().is_none());
    // What is not in the document goes on being written by Horizon's paths.
    lab.ada.put_service_key(&hello(), "k.pem", "-----BEGIN PUBLIC KEY-----").await.unwrap();
    lab.ada.add_service_login(&hello(), &login("t")).await.unwrap();
}

#[tokio::test]
async fn withdrawn_name_is_free_for_unsigned_rows() {
    let lab = Lab::start().await;
    publish_all(&lab).await;
    let (policy, key) = (Subject::Policy("d".parse().unwrap()), &keys()[2]);
    let unsigned = row(&lab, key).await;
    lab.publish(lab.sealed(policy, 2, State::Withdrawn, &Value::Null)).await.unwrap();
    lab.ada.create_row(key, &unsigned).await.unwrap();
    lab.ada.replace_row(key, &unsigned).await.unwrap();
    assert!(lab.ada.remove_row(key).await.unwrap());
}

#[tokio::test]
async fn signed_policy_of_a_node_is_not_replaced_by_a_user() {
    let lab = Lab::start().await;
    let id: NodeId = "n1".parse().unwrap();
    let (node, _) = lab.node("n1", "").await;
    let own: NodePolicyRequest =
        serde_json::from_value(json!({"properties": [], "constraints": ["own == own"]})).unwrap();
    lab.ada.put_node_policy(&id, &own).await.unwrap();
    let body = json!({"properties": [], "constraints": ["a == b"]});
    let subject = Subject::NodePolicy(id.clone());
    lab.publish(lab.sealed(subject.clone(), 1, State::Active, &body)).await.unwrap();

    let said = refusal(lab.ada.put_node_policy(&id, &own).await);
    assert!(said.ends_with("edgepost policy publish --node n1 FILE"), "{said}");
    let said = refusal(lab.ada.remove_row(&DocumentKey::node_policy(&id)).await);
    assert!(said.ends_with("edgepost policy remove --node n1"), "{said}");
    node.put_node_policy(&id, &own).await.unwrap();
    let counts = lab.ada.node_policy(&id).await.unwrap().unwrap().value;
    assert_eq!(counts.constraints, ["a == b"]);

    // A node that is made again under the name is another node, until the policy is published again.
    assert!(lab.ada.remove_node(&id).await.unwrap());
    lab.node("n1", "").await;
    lab.ada.put_node_policy(&id, &own).await.unwrap();
    lab.publish(lab.sealed(subject, 2, State::Withdrawn, &Value::Null)).await.unwrap();
    lab.ada.put_node_policy(&id, &own).await.unwrap();
}

#[tokio::test]
async fn row_that_an_older_exchange_changed_is_brought_up_to_the_document() {
    let lab = Lab::start().await;
    publish_all(&lab).await;
    let key = &keys()[0];
    let before = row(&lab, key).await;
    lab.sql(
        "UPDATE services SET document = json_set(document, '$.label', 'changed');
             UPDATE services SET owner = 'acme/ada'",
    )
    .await;
    assert_eq!(row(&lab, key).await["label"], "changed");
    let again = lab.ada.newest_document(key).await.unwrap().unwrap();
    assert!(lab.publish(again).await.unwrap().unchanged);
    assert_eq!(row(&lab, key).await, before);
}

#[tokio::test]
async fn same_document_with_other_pull_credentials_says_so() {
    let lab = Lab::start().await;
    let envelope = lab.hello(1, "Hello");
    let publish = async |token| {
        let credentials = vec![login(token)];
        lab.ada.publish(&Publication { envelope: envelope.clone(), credentials }).await.unwrap()
    };
    assert!(!publish("one").await.credentials_replaced);
    for (token, replaced) in [("one", false), ("two", true), ("two", false)] {
        let again = publish(token).await;
        assert_eq!((again.unchanged, again.credentials_replaced), (true, replaced), "{token}");
    }
    assert_eq!(lab.ada.masked_credentials(&hello().exchange_id()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn signed_documents_stay_when_their_publisher_is_removed() {
    let lab = Lab::start().await;
    let bob = lab.as_user("bob");
    let publication = Publication { envelope: lab.hello(1, "Hello"), credentials: Vec::new() };
    bob.publish(&publication).await.unwrap();
    let unsigned = json!({"label": "q", "constraints": [], "service": {
        "name": "hello", "org": "acme", "arch": "*", "serviceVersions": [{"version": "1.0.0"}]}});
    let policy: DocumentKey = "policy/q".parse().unwrap();
    bob.create_row(&policy, &unsigned).await.unwrap();

    let refused = bob.remove_user(&"bob".parse().unwrap()).await.unwrap_err();
    assert!(
        matches!(&refused, ExchangeError::Invalid { msg, .. }
        if msg.contains("service/hello_1.0.0_amd64")),
        "{refused:?}"
    );
    assert!(lab.ada.remove_user(&"bob".parse().unwrap()).await.unwrap());
    assert_eq!(lab.ada.service(&hello()).await.unwrap().unwrap().owner, "acme/ada");
    assert!(lab.ada.row(&policy).await.unwrap().is_none(), "an unsigned row goes with its owner");
    let withdrawn = lab.sealed((&hello()).into(), 2, State::Withdrawn, &Value::Null);
    lab.publish(withdrawn).await.unwrap();
    assert!(lab.ada.service(&hello()).await.unwrap().is_none());
}
