use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    Grant, Way, grant,
    walk::{Author, Definition, KnownServices, Offer, Question, Step, Voucher, Walk},
};
use crate::{
    document::{NodeFacts, NodePolicy, Pattern, ServiceBody},
    exchange::{
        api::{NodeCredentials, OrgSettings, PlainCredentials, UnsignedDocuments},
        server::caller::{Caller, Role},
        store::{Account, AccountRole},
    },
    types::OrgId,
};

const OWNER: &str = "acme/sue";
const HELLO: &str = "hello_1.0.0_amd64";

fn acme() -> OrgId {
    "acme".parse().unwrap()
}

fn settings(node: NodeCredentials, unsigned: UnsignedDocuments) -> OrgSettings {
    OrgSettings {
        plain_credentials: PlainCredentials::Served,
        node_credentials: node,
        unsigned_documents: unsigned,
        min_password_length: 0,
        min_token_length: 0,
    }
}

fn question(org: &OrgId, settings: OrgSettings) -> Question<'_> {
    Question {
        org,
        service: HELLO,
        owner: OWNER,
        settings,
        facts: NodeFacts::device("amd64".parse().unwrap()),
        policy: NodePolicy::default(),
    }
}

fn account(name: &str, role: AccountRole) -> Account {
    Account { name: name.to_owned(), role }
}

/// A service that requires others, each in any version.
fn service(url: &str, author: &Author, requires: &[&str]) -> Definition {
    let requires: Vec<_> = requires
        .iter()
        .map(|it| json!({"url": it, "org": "acme", "arch": "amd64", "versionRange": "0.0.0"}))
        .collect();
    let body: ServiceBody = serde_json::from_value(json!({"definition": {
        "url": url, "version": "1.0.0", "arch": "amd64", "sharable": "multiple",
        "requiredServices": requires, "deployment": {"services": {"a": {"image": "a.b/c:1"}}},
    }}))
    .unwrap();
    Definition { id: format!("{url}_1.0.0_amd64"), author: author.clone(), body: Arc::new(body) }
}

fn pattern(url: &str, version: &str) -> Pattern {
    let service = json!({"serviceUrl": url, "serviceOrgid": "acme", "serviceArch": "*",
        "serviceVersions": [{"version": version}]});
    serde_json::from_value(json!({"label": "p", "services": [service]})).unwrap()
}

fn known(services: Vec<Definition>) -> KnownServices {
    let mut known = KnownServices::new();
    for it in services {
        known.entry(it.body.definition.url.clone()).or_default().push(it);
    }
    known
}

/// Whether a node may have the credentials of `hello`: `y` or `n` for each pair of settings, in the order
/// admins/ignored, admins/counted, members/ignored, members/counted.
const REGISTRATIONS: [(&str, &str); 6] = [
    ("a signed node policy", "yyyy"),
    ("an administrator", "yyyy"),
    ("the owner of the service", "yyyy"),
    ("another user", "nnyy"),
    ("a user of another organization, or one who is gone", "nnnn"),
    ("the node itself", "nnnn"),
];
const DOCUMENTS: [(&str, &str); 5] = [
    ("signed", "yyyy"),
    ("unsigned by an administrator", "nyny"),
    ("unsigned by the owner of the service", "nyny"),
    ("unsigned by another user", "nnnn"),
    ("unsigned by a user of another organization", "nnnn"),
];

#[test]
fn who_registered_a_node_and_who_wrote_its_pattern_decide_by_this_table() {
    let org = acme();
    let users = || {
        [
            account("acme/ada", AccountRole::Administrator),
            account(OWNER, AccountRole::Member),
            account("acme/bob", AccountRole::Member),
            account("other/eve", AccountRole::Outsider),
        ]
    };
    let vouchers: Vec<_> = [Voucher::Trust]
        .into_iter()
        .chain(users().map(Voucher::User))
        .chain([Voucher::Node])
        .collect();
    let authors: Vec<_> = [Author::Trust].into_iter().chain(users().map(Author::User)).collect();
    let choices = [
        settings(NodeCredentials::Admins, UnsignedDocuments::Ignored),
        settings(NodeCredentials::Admins, UnsignedDocuments::Counted),
        settings(NodeCredentials::Members, UnsignedDocuments::Ignored),
        settings(NodeCredentials::Members, UnsignedDocuments::Counted),
    ];
    let mut cells = 0;
    for (voucher, (registered, by_registration)) in vouchers.iter().zip(REGISTRATIONS) {
        for (author, (written, by_document)) in authors.iter().zip(DOCUMENTS) {
            for (column, choice) in choices.iter().enumerate() {
                let question = question(&org, choice.clone());
                let known = known(vec![service("hello", author, &[])]);
                let pattern = pattern("hello", "1.0.0");
                let step = Walk::new(&question).follow(Offer::Pattern(&pattern), author, &known);
                let entitled = question.vouches(voucher) && step == Step::Reached;
                let allows = |cells: &str| cells.as_bytes()[column] == b'y';
                let expected = allows(by_registration) && allows(by_document);
                assert_eq!(entitled, expected, "{registered}, {written}, {choice:?}");
                cells += 1;
            }
        }
    }
    assert_eq!(cells, 6 * 5 * 4);
}

#[test]
fn account_of_the_caller_decides_by_this_table() {
    use Grant::{Masked, Nothing, TokensIfEntitled};
    let id = || "x".parse().unwrap();
    let node = || Role::Node("n1".parse().unwrap());
    for (org, role, plain, refused, sealed) in [
        ("acme", node(), TokensIfEntitled, Nothing, TokensIfEntitled),
        ("other", node(), Nothing, Nothing, Nothing),
        ("acme", Role::Admin(id()), Masked, Masked, Masked),
        ("other", Role::Admin(id()), Nothing, Nothing, Nothing),
        ("root", Role::Root("root".parse().unwrap()), Masked, Masked, Masked),
        ("root", Role::HubAdmin(id()), Nothing, Nothing, Nothing),
        ("acme", Role::User("sue".parse().unwrap()), Masked, Masked, Masked),
        ("acme", Role::User("bob".parse().unwrap()), Nothing, Nothing, Nothing),
        ("other", Role::User("sue".parse().unwrap()), Nothing, Nothing, Nothing),
    ] {
        let caller = Caller::in_role(org.parse().unwrap(), role);
        let of = |plain_credentials, way| {
            let choice = settings(NodeCredentials::Admins, UnsignedDocuments::Ignored);
            let choice = OrgSettings { plain_credentials, ..choice };
            grant(&caller, &acme(), OWNER, way, &choice)
        };
        assert_eq!(of(PlainCredentials::Served, Way::Plain), plain, "{caller:?}");
        assert_eq!(of(PlainCredentials::Refused, Way::Plain), refused, "{caller:?}");
        for choice in [PlainCredentials::Served, PlainCredentials::Refused] {
            assert_eq!(of(choice, Way::Sealed), sealed, "{caller:?}");
        }
    }
}

#[test]
fn required_services_are_reached_through_documents_that_count() {
    let org = acme();
    let counted = settings(NodeCredentials::Admins, UnsignedDocuments::Counted);
    let question = question(&org, counted);
    let owner = Author::User(account(OWNER, AccountRole::Member));
    let other = Author::User(account("acme/bob", AccountRole::Member));
    let top = pattern("top", "1.0.0");
    for (middle, expected) in
        [(&Author::Trust, Step::Reached), (&owner, Step::Reached), (&other, Step::Exhausted)]
    {
        let known = known(vec![
            service("top", &Author::Trust, &["middle"]),
            service("middle", middle, &["top", "hello"]),
            service("hello", &Author::Trust, &[]),
        ]);
        let step = Walk::new(&question).follow(Offer::Pattern(&top), &Author::Trust, &known);
        assert_eq!(step, expected, "{middle:?}");
    }
}

#[test]
fn walk_asks_for_services_that_are_not_known_and_goes_on() {
    let org = acme();
    let ignored = settings(NodeCredentials::Admins, UnsignedDocuments::Ignored);
    let question = question(&org, ignored);
    let mut walk = Walk::new(&question);
    let top = pattern("top", "1.0.0");
    let mut all = KnownServices::new();
    let mut follow =
        |known: &KnownServices| walk.follow(Offer::Pattern(&top), &Author::Trust, known);
    assert_eq!(follow(&all), Step::Needs("top".parse().unwrap()));
    all.extend(known(vec![service("top", &Author::Trust, &["hello"])]));
    assert_eq!(follow(&all), Step::Needs("hello".parse().unwrap()));
    all.extend(known(vec![service("hello", &Author::Trust, &[])]));
    assert_eq!(follow(&all), Step::Reached);

    let other = pattern("top", "2.0.0");
    let step = Walk::new(&question).follow(Offer::Pattern(&other), &Author::Trust, &all);
    assert_eq!(step, Step::Exhausted, "another version is offered");
}

#[test]
fn node_is_believed_what_it_measures_and_not_what_identifies_it() {
    let org = acme();
    let fits = |constraint: &str, properties: Value| {
        let policy = json!({"label": "d", "constraints": [constraint], "service": {
            "name": "hello", "org": "acme", "arch": "*",
            "serviceVersions": [{"version": "1.0.0"}]}});
        let policy = serde_json::from_value(policy).unwrap();
        let choice = settings(NodeCredentials::Admins, UnsignedDocuments::Ignored);
        let mut question = question(&org, choice);
        question.policy = serde_json::from_value(json!({"properties": properties})).unwrap();
        let known = known(vec![service("hello", &Author::Trust, &[])]);
        Walk::new(&question).follow(Offer::Policy(&policy), &Author::Trust, &known) == Step::Reached
    };
    let stated = |name: &str, value: Value| json!([{"name": name, "value": value}]);
    assert!(fits("openhorizon.memory >= 256", json!([])));
    assert!(fits("openhorizon.memory >= 256", stated("openhorizon.memory", json!(512))));
    assert!(!fits("openhorizon.memory >= 256", stated("openhorizon.memory", json!(128))));
    assert!(!fits("openhorizon.memoryBank == x", json!([])));
    assert!(!fits("openhorizon.hardwareId == pump-9", json!([])));
    assert!(fits(
        "openhorizon.hardwareId == pump-9",
        stated("openhorizon.hardwareId", json!("pump-9"))
    ));
    assert!(!fits("site == lab", json!([])));
}
