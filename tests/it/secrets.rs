//! No secret in any output, at the most verbose level.

use std::fs;

use crate::support::{
    hub::Hub,
    image::{definition, layout, write},
    node::Node,
};

#[test]
fn no_secret_shows_in_any_output_log_or_database() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let secrets =
        ["ann-secret", "n1-token", &hub.push_password.clone(), &hub.pull_password.clone()]
            .map(str::to_owned);
    let mut said = Vec::new();
    layout(&folder.path().join("image"), 1, 1, 10_000);
    let image = format!("{}/acme/hello:1.0.0", hub.registry());
    let file = write(&hub, "hello.json", &definition("1.0.0", &image));
    let pattern = write(&hub, "p.json", &crate::support::image::pattern("1.0.0"));
    let login = format!("{}:pull:{}", hub.registry(), hub.pull_password);
    let run = |said: &mut Vec<String>, arguments: &[&str]| {
        let outcome = hub.publisher.run(&[&["-vvv"], arguments].concat());
        said.push(format!("{arguments:?}\n{}\n{}", outcome.stdout, outcome.stderr));
    };
    run(&mut said, &["publish", &file, "--source", "oci:image", "-r", &login]);
    run(&mut said, &["publish", &file, "--source", "oci:image", "-r", &login, "--json"]);
    run(&mut said, &["publish", &file, "-r", &login.replace(':', ";")]);
    run(&mut said, &["pattern", "publish", &pattern, "--name", "hello-everywhere"]);
    run(&mut said, &["service", "list", "--json"]);
    run(&mut said, &["service", "show", "hello_1.0.0_amd64"]);
    run(&mut said, &["user", "list", "--json"]);
    run(&mut said, &["node", "list", "--json"]);
    let node = Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);
    let settled = node.settle().good();
    said.push(format!("{}\n{}", settled.stdout, settled.stderr));
    said.push(node.status().to_string());
    run(&mut said, &["node", "show", "n1"]);
    said.push(fs::read_to_string(folder.path().join("hub.log")).unwrap());

    for text in &said {
        let stripped = text.replace(&login, "").replace(&login.replace(':', ";"), "");
        for secret in &secrets {
            assert!(!stripped.contains(secret), "{secret} shows in\n{text}");
        }
    }
    for file in fs::read_dir(hub.data()).unwrap().flatten().filter(|it| it.path().is_file()) {
        let bytes = fs::read(file.path()).unwrap();
        for secret in &secrets {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} stands in {}", file.path().display());
        }
    }
}
