//! Which policy of the node counts: the one that is published for it, if there is one, else the one
//! that it was registered with.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::Selector;
use crate::{document::NodePolicy, trust::State, types::DocumentKey};

/// Where the policy of a node comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "kebab-case")]
pub enum PolicySource {
    /// The node was registered with it, or has none.
    #[default]
    Registration,
    /// It is published and signed, and counts in the place of that one.
    Published {
        /// As in its header.
        seq: u64,
    },
    /// One is published, and is not at hand yet: nothing new is decided.
    Awaited,
    /// One is published, and nobody whom the organization trusts vouches for it any more. It does not
    /// count, and neither does the one that it took the place of: that may allow more.
    Void,
}

impl<'a> Selector<'a> {
    /// The policy that counts; nothing if that cannot be said yet.
    pub(super) fn stated(&mut self) -> Option<Cow<'a, NodePolicy>> {
        let registered = self.node.policy;
        let key = DocumentKey::node_policy(&self.node.name.id);
        let Some(entry) = self.shelves.own.catalog.entries.get(&key) else {
            return Some(Cow::Borrowed(registered));
        };
        let library = self.shelves.own.library;
        let is_void = library.distrusted.contains(&key) || library.retired.contains(&key);
        let is_withdrawn = entry.state == State::Withdrawn && !is_void;
        match (self.has(&key), library.node_policies.get(&key)) {
            (Ok(true), Some(document)) => {
                let seq = document.header().seq;
                self.selection.policy = PolicySource::Published { seq };
                Some(Cow::Owned(document.body().in_place_of(registered)))
            }
            (Ok(_), _) => {
                self.selection.policy = PolicySource::Awaited;
                None
            }
            (Err(_), _) if is_withdrawn => Some(Cow::Borrowed(registered)),
            (Err(reason), _) => {
                self.selection.policy = PolicySource::Void;
                self.unfit(&key, vec![reason]);
                Some(Cow::Owned(NodePolicy::default()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{
        agent::{
            library::Library,
            select::{Node, PolicySource, Shelf, Shelves, select, tests::selected_by},
            testing::Publisher,
        },
        document::NodeFacts,
        types::DocumentKey,
    };

    const NODE: &str = "pump-7";

    /// A publisher of a service for cameras, one for screens, and one for everybody by a pattern.
    fn publisher() -> Publisher {
        let mut publisher = Publisher::new();
        publisher.service("cam", "1.0.0", &json!({}));
        publisher.service("web", "1.0.0", &json!({}));
        publisher.policy("cameras", "cam", &["1.0.0"], "purpose == camera");
        publisher.policy("screens", "web", &["1.0.0"], "purpose == screen");
        publisher
    }

    fn purpose(value: &str) -> Value {
        json!({"properties": [{"name": "purpose", "value": value}]})
    }

    fn privileged(value: bool) -> Value {
        json!({"properties": [{"name": "openhorizon.allowPrivileged", "value": value}]})
    }

    /// What a node that was registered with `policy` takes, and by which policy.
    fn taken(publisher: &Publisher, policy: Value) -> (Vec<String>, PolicySource) {
        taken_with(publisher, None, policy, &mut Library::default())
    }

    fn taken_with(
        publisher: &Publisher,
        pattern: Option<&str>,
        policy: Value,
        library: &mut Library,
    ) -> (Vec<String>, PolicySource) {
        let selection = selected_by(publisher, pattern, policy, library);
        let wanted = selection.wanted.iter().map(|it| it.id.url.to_string());
        (wanted.collect(), selection.policy)
    }

    #[test]
    fn the_published_policy_counts_until_it_is_withdrawn() {
        let mut publisher = publisher();
        let registered = || purpose("camera");
        assert_eq!(
            taken(&publisher, registered()),
            (vec!["cam".into()], PolicySource::Registration)
        );
        publisher.node_policy(NODE, purpose("screen"));
        let source = PolicySource::Published { seq: 1 };
        assert_eq!(taken(&publisher, registered()), (vec!["web".into()], source));
        publisher.node_policy(NODE, purpose("nothing"));
        let source = PolicySource::Published { seq: 2 };
        assert_eq!(taken(&publisher, registered()), (vec![], source));
        publisher.withdraw_node_policy(NODE);
        assert_eq!(
            taken(&publisher, registered()),
            (vec!["cam".into()], PolicySource::Registration)
        );
        publisher.node_policy(NODE, purpose("screen"));
        assert_eq!(taken(&publisher, registered()).0, ["web"]);
    }

    #[test]
    fn the_policy_of_another_node_is_not_even_looked_at() {
        let mut publisher = publisher();
        publisher.node_policy("pump-8", purpose("screen"));
        let mut library = Library::default();
        let (wanted, source) = taken_with(&publisher, None, purpose("camera"), &mut library);
        assert_eq!((wanted, source), (vec!["cam".into()], PolicySource::Registration));
        assert!(library.node_policies.is_empty());
    }

    #[test]
    fn nothing_is_decided_before_the_published_policy_is_here() {
        let mut publisher = publisher();
        publisher.node_policy(NODE, purpose("screen"));
        let key = DocumentKey::node_policy(&NODE.parse().unwrap());
        let policy = serde_json::from_value(purpose("camera")).unwrap();
        let node = Node {
            name: &format!("acme/{NODE}").parse().unwrap(),
            pattern: None,
            policy: &policy,
            facts: &NodeFacts::device("amd64".parse().unwrap()),
            used_up: &|_| false,
            refuses: &|_| Vec::new(),
        };
        let own = Shelf { catalog: &publisher.catalog, library: &Library::default() };
        let selection = select(&node, &Shelves { own, imports: Vec::new() });
        assert_eq!(selection.policy, PolicySource::Awaited);
        assert_eq!(selection.missing, [("acme".parse().unwrap(), key)].into());
        assert!(selection.wanted.is_empty());
    }

    #[test]
    fn what_a_node_was_registered_to_refuse_no_publisher_allows() {
        let mut publisher = Publisher::new();
        publisher.privileged_service("root", "1.0.0");
        publisher.pattern("p", &[("root", "1.0.0")]);
        let takes = |publisher: &Publisher, registered: Value| {
            !taken_with(publisher, Some("p"), registered, &mut Library::default()).0.is_empty()
        };
        assert!(!takes(&publisher, json!({})));
        publisher.node_policy(NODE, privileged(true));
        assert!(takes(&publisher, json!({})));
        assert!(takes(&publisher, privileged(true)));
        assert!(!takes(&publisher, privileged(false)));
        publisher.node_policy(NODE, privileged(false));
        assert!(!takes(&publisher, privileged(true)));
    }

    #[test]
    fn a_policy_that_nobody_vouches_for_any_more_lets_nothing_in() {
        let mut publisher = publisher();
        publisher.service("any", "1.0.0", &json!({}));
        publisher.privileged_service("root", "1.0.0");
        publisher.pattern("p", &[("any", "1.0.0"), ("root", "1.0.0")]);
        let key = publisher.node_policy(NODE, purpose("screen"));
        let registered = || {
            json!({"properties": [{"name": "purpose", "value": "camera"},
                {"name": "openhorizon.allowPrivileged", "value": true}]})
        };
        for is_retired in [true, false] {
            let library = || {
                let mut library = Library::default();
                let shelf = if is_retired { &mut library.retired } else { &mut library.distrusted };
                shelf.insert(key.clone());
                library
            };
            let by_policies = taken_with(&publisher, None, registered(), &mut library());
            assert_eq!(by_policies, (vec![], PolicySource::Void));
            // A pattern was the node's own choice; only what the policy would allow stays out.
            let by_pattern = taken_with(&publisher, Some("p"), registered(), &mut library());
            assert_eq!(by_pattern, (vec!["any".into()], PolicySource::Void));
        }
    }
}
