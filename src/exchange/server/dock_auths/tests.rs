use serde_json::{Value, json};

use crate::{
    exchange::server::testing::{Answer, Lab, service},
    sign::sealed::NodeKey,
};

const PATH: &str = "/orgs/A/services/svc_1.0.0_arm/dockauths";
const SETTINGS: &str = "/orgs/A/edgepost/settings";

/// Settings under which unsigned documents count.
fn counted(plain: &str) -> Value {
    json!({"plainCredentials": plain, "nodeCredentials": "admins", "unsignedDocuments": "counted"})
}

#[tokio::test]
async fn a_login_is_kept_once_and_shown_with_stars() {
    let lab = Lab::start().await;
    lab.post("A/u1", "/orgs/A/services", service("svc", "1.0.0", "arm")).await.is(201);
    assert_eq!(lab.get("A/u1", PATH).await.is(404), json!([]));
    let login = || json!({"registry": "r.example:5000", "token": "canary:1"});
    lab.post("A/u1", PATH, login()).await.is(201);
    lab.post("A/u1", PATH, login()).await.is(201);
    lab.post("A/u1", PATH, json!({"registry": "r.example"})).await.is(400);
    lab.post("A/u2", PATH, login()).await.is(403);
    lab.post("A/u1", "/orgs/A/services/none/dockauths", login()).await.is(404);
    let list = lab.get("A/u1", PATH).await.is(200);
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!(
        (&list[0]["username"], &list[0]["token"]),
        (&json!("token"), &json!("***************"))
    );
    assert_eq!(lab.get("A/u2", PATH).await.is(404), json!([]));
    let one = format!("{PATH}/{}", list[0]["dockAuthId"]);
    let other = json!({"registry": "r.example", "username": "u", "token": "t"});
    lab.put("A/u1", &one, other.clone()).await.is(201);
    assert_eq!(lab.get("A/u1", &one).await.is(200)["username"], "u");
    lab.put("A/u1", &format!("{PATH}/999"), other.clone()).await.is(404);
    lab.put("A/u1", &format!("{PATH}/abc"), other).await.is(400);
    lab.delete("A/u1", &format!("{PATH}/-1")).await.is(404);
    lab.delete("A/u1", &one).await.is(204);
    lab.delete("A/u1", &one).await.is(404);
    lab.delete("A/u1", PATH).await.is(404);
}

#[tokio::test]
async fn a_node_reads_the_logins_of_what_it_is_to_run() {
    let lab = Lab::start().await;
    lab.post("A/u1", "/orgs/A/services", service("svc", "1.0.0", "arm")).await.is(201);
    let login = json!({"registry": "r.example", "username": "u", "token": "canary"});
    lab.post("A/u1", PATH, login).await.is(201);
    lab.put("A/ad", SETTINGS, counted("served")).await.is(200);
    lab.node("n1").await;
    assert_eq!(lab.get("A/n1:tok", PATH).await.is(404), json!([]));
    let pattern = json!({"label": "p", "services": [{
        "serviceUrl": "svc", "serviceOrgid": "A", "serviceArch": "arm",
        "serviceVersions": [{"version": "1.0.0"}],
    }]});
    lab.post("A/u1", "/orgs/A/patterns/p", pattern).await.is(201);
    lab.patch("A/n1:tok", "/orgs/A/nodes/n1", json!({"pattern": "A/p"})).await.is(201);
    assert_eq!(lab.get("A/n1:tok", PATH).await.is(404), json!([]), "it set the pattern itself");
    lab.patch("A/u1", "/orgs/A/nodes/n1", json!({"pattern": "A/p"})).await.is(201);
    let list = lab.get("A/n1:tok", PATH).await.is(200);
    assert_eq!((&list[0]["registry"], &list[0]["token"]), (&json!("r.example"), &json!("canary")));
}

/// A request, and what came of it: the cells of the table below.
///
/// `u` nobody by that name, `x` denied, `-` as if there were nothing, `*` the login with stars, `C` the login with its
/// token, `s` the login sealed to the asking node, `o` done.
const VERBS: [&str; 8] = ["list", "one", "post", "put", "delete", "delete all", "ours", "set"];

/// Who asks, and what comes of each verb: while the service is private, while it is public, and, where the organization
/// refuses plain tokens, whether private or public.
const TABLE: &[(&str, &str, &str, &str, &str)] = &[
    ("nobody", "", "uuuuuuuu", "uuuuuuuu", "same"),
    ("the root user", "root/root", "**oooo*o", "**oooo*o", "same"),
    ("a hub administrator", "root/hu", "xxxxxx--", "xxxxxx--", "same"),
    ("the administrator", "A/ad", "**oooo*o", "**oooo*o", "same"),
    ("the owner", "A/u1", "**oooo*o", "**oooo*o", "same"),
    ("another user", "A/u2", "--xxxx--", "--xxxx--", "same"),
    ("another organization's administrator", "B/ba", "xxxxxx--", "--xxxx--", "same"),
    ("another organization's user", "B/bu", "xxxxxx--", "--xxxx--", "same"),
    ("a node that is to run it", "A/n1:tok", "CCxxxxs-", "CCxxxxs-", "--xxxxs-"),
    ("a node that is not to run it", "A/n2:tok", "--xxxx--", "--xxxx--", "same"),
    ("a node called like the owner", "A/u1:tok", "--xxxx--", "--xxxx--", "same"),
    ("another organization's node that names it", "B/n1:tok", "xxxxxx--", "--xxxx--", "same"),
    ("another organization's node", "B/n2:tok", "xxxxxx--", "--xxxx--", "same"),
];

/// The service's login, and its path.
async fn put_login_back(lab: &Lab) -> String {
    lab.delete("A/ad", PATH).await;
    let login = json!({"registry": "r.example", "username": "u", "token": "canary"});
    lab.post("A/ad", PATH, login).await.is(201);
    format!("{PATH}/{}", lab.get("A/ad", PATH).await.is(200)[0]["dockAuthId"])
}

/// Asks, and says what came of it.
async fn outcome(lab: &Lab, who: &str, verb: &str) -> char {
    const OURS: &str = "/orgs/A/edgepost/services/svc_1.0.0_arm/credentials";
    let one = put_login_back(lab).await;
    let login = || json!({"registry": "r.example", "username": "u", "token": "other"});
    let answer: Answer = match verb {
        "list" => lab.get(who, PATH).await,
        "one" => lab.get(who, &one).await,
        "post" => lab.post(who, PATH, login()).await,
        "put" => lab.put(who, &one, login()).await,
        "delete" => lab.delete(who, &one).await,
        "delete all" => lab.delete(who, PATH).await,
        "ours" => lab.get(who, OURS).await,
        _ => lab.put(who, OURS, json!({"credentials": [login()]})).await,
    };
    let clear = answer.text.contains("canary");
    let changed = lab.get("A/n1:tok", OURS).await.text;
    let before = lab.get("A/ad", PATH).await;
    let held = before.json().as_array().map_or(0, Vec::len);
    let version = lab.get("A/ad", OURS).await.json()[0]["version"].clone();
    let is_changed = held != 1 || version != 1;
    assert!(!changed.contains("canary"));
    match answer.status {
        401 if !is_changed && !clear => 'u',
        403 if !is_changed && !clear => 'x',
        404 if !is_changed && !clear => '-',
        200 if clear => 'C',
        200 if answer.text.contains("sealed") => 's',
        200 if answer.text.contains("***") && !is_changed => '*',
        200 | 201 | 204 if is_changed => 'o',
        status => panic!("{who} {verb}: {status} {}", answer.text),
    }
}

#[tokio::test]
async fn who_may_do_what_with_logins_is_this_table() {
    let lab = Lab::start().await;
    let admin = json!({"password": "pw", "admin": true, "hubAdmin": false, "email": ""});
    lab.post("root/root", "/orgs/B/users/ba", admin).await.is(201);
    lab.post("A/u1", "/orgs/A/services", service("svc", "1.0.0", "arm")).await.is(201);
    let pattern = json!({"label": "p", "services": [{
        "serviceUrl": "svc", "serviceOrgid": "A", "serviceArch": "arm",
        "serviceVersions": [{"version": "1.0.0"}],
    }]});
    let mut cells = 0;
    // A pattern of the other organization may name the service only while that is public.
    lab.patch("A/u1", "/orgs/A/services/svc_1.0.0_arm", json!({"public": true})).await.is(201);
    for (org, user) in [("A", "A/u1"), ("B", "B/bu")] {
        lab.post(user, &format!("/orgs/{org}/patterns/p"), pattern.clone()).await.is(201);
    }
    for (org, user, node, pattern) in [
        ("A", "A/u1", "n1", "A/p"),
        ("A", "A/u1", "n2", ""),
        ("A", "A/u1", "u1", ""),
        ("B", "B/bu", "n1", "B/p"),
        ("B", "B/bu", "n2", ""),
    ] {
        lab.node_of(org, user, node, pattern, &NodeKey::generate().public().to_string()).await;
    }
    for plain in ["served", "refused"] {
        lab.put("A/ad", SETTINGS, counted(plain)).await.is(200);
        for public in [false, true] {
            let said = json!({"public": public});
            lab.patch("A/u1", "/orgs/A/services/svc_1.0.0_arm", said).await.is(201);
            for (words, who, private, open, refused) in TABLE {
                let expected = match (plain, public) {
                    ("refused", _) if *refused != "same" => refused,
                    (_, false) => private,
                    (_, true) => open,
                };
                let mut seen = String::new();
                for verb in VERBS {
                    seen.push(outcome(&lab, who, verb).await);
                    cells += 1;
                }
                assert_eq!(&seen, expected, "{words}, public: {public}, plain tokens: {plain}");
            }
        }
    }
    println!("{cells} of {cells} cells are as the table says");
    assert_eq!(cells, TABLE.len() * VERBS.len() * 4);
}

#[tokio::test]
async fn an_organization_chooses_whether_nodes_get_plain_tokens() {
    let lab = Lab::start().await;
    let path = SETTINGS;
    let chosen = async || lab.get("A/ad", path).await.is(200)["plainCredentials"].clone();
    assert_eq!(lab.get("A/u1", path).await.is(200)["plainCredentials"], "served");
    let refused = || json!({"plainCredentials": "refused"});
    for (who, status) in
        [("A/u1", 403), ("B/bu", 403), ("", 401), ("A/ad", 200), ("root/root", 200)]
    {
        lab.put(who, path, refused()).await.is(status);
    }
    lab.put("A/ad", path, json!({"plainCredentials": "maybe"})).await.is(400);
    lab.put("root/root", "/orgs/none/edgepost/settings", refused()).await.is(404);
    // What hzn does, which knows nothing of it.
    lab.put("A/ad", "/orgs/A", json!({"label": "A", "description": "d"})).await.is(201);
    assert_eq!(chosen().await, "refused");
}

#[tokio::test]
async fn only_the_root_user_changes_the_key() {
    let lab = Lab::start().await;
    lab.node("n1").await;
    for (who, status) in [
        ("", 401),
        ("A/ad", 403),
        ("A/u1", 403),
        ("root/hu", 403),
        ("A/n1:tok", 403),
        ("root/root", 200),
    ] {
        lab.post(who, "/admin/edgepost/rekey", json!({})).await.is(status);
    }
}
