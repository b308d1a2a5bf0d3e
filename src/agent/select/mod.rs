//! Which services this node should run: its pattern's, or those whose policies fit it, with all
//! that they require. A pure function of what has been verified.

mod resolve;
mod shelves;
mod stated;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(super) use self::shelves::{Shelf, Shelves};
pub use self::stated::PolicySource;
use crate::{
    agent::{
        sandbox::RefusedAccess,
        select::resolve::{Asker, Root},
        trials::Turn,
    },
    document::{AccessNeed, InputValue, NodePolicy, VersionChoice, matching::NodeFacts},
    exchange::api::{LONGEST_REASON, UnfitReport},
    trust::State,
    types::{DocumentKey, DocumentKind, NodeRef, OrgId, PatternRef, ServiceId, ServiceUrl},
};

/// What of a node decides.
pub(super) struct Node<'a> {
    pub(super) name: &'a NodeRef,
    pub(super) pattern: Option<&'a PatternRef>,
    pub(super) policy: &'a NodePolicy,
    pub(super) facts: &'a NodeFacts,
    /// Whether a version has failed so often here that it is the next one's turn.
    pub(super) used_up: &'a dyn Fn(&ServiceId) -> bool,
    /// What of these needs its owner does not allow.
    pub(super) refuses: &'a dyn Fn(&BTreeSet<AccessNeed>) -> Vec<AccessNeed>,
}

/// A service that the node should run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Chosen {
    pub(super) id: ServiceId,
    /// The document that says what it is.
    pub(super) key: DocumentKey,
    /// Values for its variables, a later one of the same name wins.
    pub(super) given: Vec<InputValue>,
    /// Environment that the pattern or policy puts over that of the deployment.
    pub(super) overrides: Value,
    /// Its priority, where a pattern or policy offers several versions of it.
    pub(super) turn: Option<Turn>,
    /// The services whose networks it joins.
    pub(super) requires: Vec<(OrgId, ServiceUrl)>,
}

/// Something that the node does not run, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfit {
    /// A pattern, a policy or a service.
    pub document: DocumentKey,
    /// Every reason that was found, in words.
    pub reasons: Vec<String>,
}

impl Unfit {
    /// The same for the exchange, which takes no text without end.
    pub(super) fn report(&self) -> UnfitReport {
        let mut reason = self.reasons.join("; ");
        reason.truncate(reason.floor_char_boundary(LONGEST_REASON));
        UnfitReport { document: self.document.to_string(), reason }
    }
}

/// What was decided, or what must be fetched before it can be.
#[derive(Debug, Default)]
pub(super) struct Selection {
    /// What to run; a service stands behind those that it requires.
    pub(super) wanted: Vec<Chosen>,
    /// Documents that are needed to decide and are not at hand. While there are any, the rest is
    /// preliminary.
    pub(super) missing: BTreeSet<(OrgId, DocumentKey)>,
    /// Every document that was used.
    pub(super) used: BTreeSet<(OrgId, DocumentKey)>,
    /// What does not fit.
    pub(super) unfit: Vec<Unfit>,
    /// Services that need more of the host than its owner allows.
    pub(super) refused: Vec<RefusedAccess>,
    /// Services that are not wanted for such a need alone: an earlier version that runs may go on.
    pub(super) held: BTreeSet<(OrgId, ServiceUrl)>,
    /// Which policy of the node counts.
    pub(super) policy: PolicySource,
}

impl Selection {
    /// What it says of one organization: the documents that are missing, and those that were used.
    pub(super) fn of(&self, org: &OrgId) -> Needs {
        let of = |all: &BTreeSet<(OrgId, DocumentKey)>| {
            all.iter().filter(|it| it.0 == *org).map(|it| it.1.clone()).collect()
        };
        Needs { missing: of(&self.missing), used: of(&self.used) }
    }
}

/// What is needed of one organization.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// Documents that must be fetched before it can be decided.
    pub(super) missing: BTreeSet<DocumentKey>,
    /// Documents that were used.
    pub(super) used: BTreeSet<DocumentKey>,
}

/// Decides.
pub(super) fn select(node: &Node<'_>, shelves: &Shelves<'_>) -> Selection {
    let mut selector = Selector { node, shelves, selection: Selection::default() };
    let Some(policy) = selector.stated() else { return selector.selection };
    let node = Node { policy: &policy, ..*node };
    let mut selector = Selector { node: &node, shelves, selection: selector.selection };
    match node.pattern {
        Some(pattern) => selector.take_pattern(pattern),
        None if selector.selection.policy == PolicySource::Void => {}
        None => selector.take_policies(),
    }
    selector.selection
}

struct Selector<'a> {
    node: &'a Node<'a>,
    shelves: &'a Shelves<'a>,
    selection: Selection,
}

impl Selector<'_> {
    fn unfit(&mut self, document: &DocumentKey, reasons: Vec<String>) {
        self.selection.unfit.push(Unfit { document: document.clone(), reasons });
    }

    fn own(&self) -> &OrgId {
        &self.node.name.org
    }

    /// Whether `key` of the node's own organization is at hand.
    fn has(&mut self, key: &DocumentKey) -> Result<bool, String> {
        let own = self.own().clone();
        self.has_of(&own, key)
    }

    /// Whether `key` is at hand in the state that the catalog of `org` lists. If not, it is missing, or the
    /// reason is returned. That it is withdrawn must be signed too: the catalog alone is only as
    /// good as the exchange.
    fn has_of(&mut self, org: &OrgId, key: &DocumentKey) -> Result<bool, String> {
        let Shelf { catalog, library } = self.shelves.of(org)?;
        let Some(entry) = catalog.entries.get(key) else {
            return Err(format!("{key} is not in the catalog"));
        };
        if library.ended.contains(key) {
            return Err(format!(
                "{key} was signed in an epoch that its organization has ended, and must be published again"
            ));
        }
        if library.distrusted.contains(key) {
            return Err(format!("{key} was signed by a key that is no longer trusted"));
        }
        if library.retired.contains(key) {
            return Err(format!("{key} was signed by a key that has been retired"));
        }
        let named = (org.clone(), key.clone());
        self.selection.used.insert(named.clone());
        let here = library.digest(key) == Some(entry.sha256);
        if !here {
            self.selection.missing.insert(named);
            return Ok(false);
        }
        match entry.state {
            State::Active => Ok(true),
            State::Withdrawn => Err(format!("{key} has been withdrawn")),
        }
    }

    fn take_pattern(&mut self, pattern: &PatternRef) {
        let key = DocumentKey::pattern(&pattern.id);
        if pattern.org != *self.own() {
            let why =
                format!("it belongs to organization {}: services alone are imported", pattern.org);
            return self.unfit(&key, vec![why]);
        }
        match self.has(&key) {
            Ok(true) => {}
            Ok(false) => return,
            Err(reason) => return self.unfit(&key, vec![reason]),
        }
        let Some(document) = self.shelves.own.library.patterns.get(&key) else {
            return;
        };
        let body = document.body();
        for service in &body.services {
            if !service.service_arch.includes(&self.node.facts.arch) {
                continue;
            }
            let (org, url) = (&service.service_orgid, &service.service_url);
            match self.version(org, url, &service.service_versions) {
                Ok(Some(choice)) => {
                    let asker = Asker::Pattern(body);
                    let turn = turn(&key, &service.service_versions, choice);
                    self.take_root(&key, &Root { asker, org, url, choice, turn });
                }
                Ok(None) => {}
                Err(reason) => self.unfit(&key, vec![reason]),
            }
        }
    }

    fn take_policies(&mut self) {
        let is_policy = |key: &&DocumentKey| key.kind() == DocumentKind::Policy;
        for key in self.shelves.own.catalog.entries.keys().filter(is_policy) {
            match self.has(key) {
                Ok(true) => self.take_policy(key),
                Ok(false) => {}
                Err(reason) => self.unfit(key, vec![reason]),
            }
        }
    }

    fn take_policy(&mut self, key: &DocumentKey) {
        let Some(document) = self.shelves.own.library.policies.get(key) else {
            return;
        };
        let policy = document.body();
        let service = &policy.service;
        if !service.arch.includes(&self.node.facts.arch) {
            let why = format!("it is for {}, this node is {}", service.arch, &self.node.facts.arch);
            return self.unfit(key, vec![why]);
        }
        let choice = match self.version(&service.org, &service.name, &service.service_versions) {
            Ok(Some(choice)) => choice,
            Ok(None) => return,
            Err(reason) => return self.unfit(key, vec![reason]),
        };
        let (org, url) = (&service.org, &service.name);
        let turn = turn(key, &service.service_versions, choice);
        let asker = Asker::Policy(policy);
        self.take_root(key, &Root { asker, org, url, choice, turn });
    }
}

/// The turn that a version has among several.
fn turn(offered_by: &DocumentKey, all: &[VersionChoice], choice: &VersionChoice) -> Option<Turn> {
    (all.len() > 1 && choice.priority.is_set())
        .then(|| Turn { offered_by: offered_by.clone(), priority: choice.priority.clone() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::agent::{library::Library, testing::Publisher};

    /// What is selected for a node, as `url version`, and why not the rest.
    fn selected(
        publisher: &Publisher,
        pattern: Option<&str>,
        node_policy: Value,
    ) -> (Vec<String>, Vec<String>) {
        selected_after(publisher, pattern, node_policy, &|_| false)
    }

    fn selected_after(
        publisher: &Publisher,
        pattern: Option<&str>,
        node_policy: Value,
        used_up: &dyn Fn(&ServiceId) -> bool,
    ) -> (Vec<String>, Vec<String>) {
        let mut library = Library::default();
        let selection = selected_from(publisher, pattern, node_policy, used_up, &mut library);
        let wanted = selection.wanted.iter().map(|it| format!("{} {}", it.id.url, it.id.version));
        let unfit = selection.unfit.into_iter().flat_map(|it| it.reasons);
        (wanted.collect(), unfit.collect())
    }

    /// What is selected in the end, with the documents that it takes in `library`.
    pub(super) fn selected_by(
        publisher: &Publisher,
        pattern: Option<&str>,
        node_policy: Value,
        library: &mut Library,
    ) -> Selection {
        selected_from(publisher, pattern, node_policy, &|_| false, library)
    }

    fn selected_from(
        publisher: &Publisher,
        pattern: Option<&str>,
        node_policy: Value,
        used_up: &dyn Fn(&ServiceId) -> bool,
        library: &mut Library,
    ) -> Selection {
        let pattern = pattern.map(|name| format!("acme/{name}").parse().unwrap());
        let policy = serde_json::from_value(node_policy).unwrap();
        let node = Node {
            name: &"acme/pump-7".parse().unwrap(),
            pattern: pattern.as_ref(),
            policy: &policy,
            facts: &NodeFacts::device("amd64".parse().unwrap()),
            used_up,
            refuses: &|_| Vec::new(),
        };
        loop {
            let own = Shelf { catalog: &publisher.catalog, library };
            let selection = select(&node, &Shelves { own, imports: Vec::new() });
            if selection.missing.is_empty() {
                return selection;
            }
            for (_, key) in &selection.missing {
                publisher.give(key, library);
            }
        }
    }

    #[test]
    fn a_pattern_brings_what_its_services_require_before_them() {
        let mut publisher = Publisher::new();
        publisher.service("gps", "1.0.0", &json!({}));
        publisher.service("gps", "1.4.0", &json!({}));
        publisher.service("gps", "2.0.0", &json!({}));
        let requires = json!([{"url": "gps", "org": "acme", "versionRange": "[1.0.0,2.0.0)", "arch": "amd64"}]);
        publisher.service("web", "1.0.0", &json!({"requiredServices": requires}));
        publisher.pattern("p", &[("web", "1.0.0")]);

        let (wanted, unfit) = selected(&publisher, Some("p"), json!({}));

        assert_eq!(wanted, ["gps 1.4.0", "web 1.0.0"]);
        assert!(unfit.is_empty(), "{unfit:?}");
    }

    #[test]
    fn services_that_require_each_other_in_a_circle_are_named() {
        let mut publisher = Publisher::new();
        let requires = |url: &str| json!([{"url": url, "org": "acme", "arch": "amd64"}]);
        publisher.service("a", "1.0.0", &json!({"requiredServices": requires("b")}));
        publisher.service("b", "1.0.0", &json!({"requiredServices": requires("a")}));
        publisher.pattern("p", &[("a", "1.0.0")]);

        let (wanted, unfit) = selected(&publisher, Some("p"), json!({}));

        assert!(wanted.is_empty());
        assert_eq!(unfit, ["services require each other in a circle: a → b → a"]);
    }

    #[test]
    fn a_missing_requirement_keeps_out_that_service_alone() {
        let mut publisher = Publisher::new();
        let requires = json!([{"url": "gps", "org": "acme", "versionRange": "[3.0.0,4.0.0)", "arch": "amd64"}]);
        publisher.service("gps", "1.0.0", &json!({}));
        publisher.service("web", "1.0.0", &json!({"requiredServices": requires}));
        publisher.service("db", "1.0.0", &json!({}));
        publisher.pattern("p", &[("web", "1.0.0"), ("db", "1.0.0")]);

        let (wanted, unfit) = selected(&publisher, Some("p"), json!({}));

        assert_eq!(wanted, ["db 1.0.0"]);
        assert_eq!(unfit, ["web requires acme/gps [3.0.0,4.0.0) for amd64, and there is none"]);
    }

    #[test]
    fn a_withdrawn_version_is_not_taken() {
        let mut publisher = Publisher::new();
        publisher.service("gps", "1.0.0", &json!({}));
        publisher.service("gps", "1.4.0", &json!({}));
        publisher.withdraw_service("gps", "1.4.0");
        let requires = json!([{"url": "gps", "org": "acme", "arch": "amd64"}]);
        publisher.service("web", "1.0.0", &json!({"requiredServices": requires}));
        publisher.pattern("p", &[("web", "1.0.0"), ("gps", "1.4.0")]);

        let (wanted, unfit) = selected(&publisher, Some("p"), json!({}));

        assert_eq!(wanted, ["gps 1.0.0", "web 1.0.0"]);
        assert_eq!(unfit, ["no active version of acme/gps for amd64 among 1.4.0"]);
    }

    #[test]
    fn policies_decide_for_a_node_without_a_pattern() {
        let mut publisher = Publisher::new();
        publisher.service("cam", "1.0.0", &json!({}));
        publisher.service("web", "1.0.0", &json!({}));
        publisher.policy("cameras", "cam", &["1.0.0"], "purpose == camera");
        publisher.policy("screens", "web", &["1.0.0"], "purpose == screen");
        let node = json!({"properties": [{"name": "purpose", "value": "camera"}]});

        let (wanted, unfit) = selected(&publisher, None, node);

        assert_eq!(wanted, ["cam 1.0.0"]);
        assert_eq!(unfit.len(), 1);
        assert!(unfit[0].contains("purpose == screen"), "{unfit:?}");
    }

    #[test]
    fn a_version_that_has_failed_often_enough_gives_way_to_the_next() {
        let mut publisher = Publisher::new();
        publisher.service("cam", "1.0.0", &json!({}));
        publisher.service("cam", "2.0.0", &json!({}));
        publisher.policy("cameras", "cam", &["2.0.0", "1.0.0"], "");
        let used_up = |service: &ServiceId| service.version.as_str() == "2.0.0";

        assert_eq!(selected(&publisher, None, json!({})).0, ["cam 2.0.0"]);
        assert_eq!(selected_after(&publisher, None, json!({}), &used_up).0, ["cam 1.0.0"]);
    }

    #[test]
    fn a_privileged_service_runs_only_where_it_is_allowed() {
        let mut publisher = Publisher::new();
        publisher.privileged_service("root", "1.0.0");
        publisher.pattern("p", &[("root", "1.0.0")]);
        let allows =
            json!({"properties": [{"name": "openhorizon.allowPrivileged", "value": true}]});

        assert!(selected(&publisher, Some("p"), json!({})).0.is_empty());
        assert_eq!(selected(&publisher, Some("p"), allows).0, ["root 1.0.0"]);
    }
}
