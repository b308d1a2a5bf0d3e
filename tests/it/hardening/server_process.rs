//! A hub in a process of its own, with organizations, users and nodes, for tests that measure it.

use std::{net::SocketAddr, path::Path, time::Duration};

use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::support::program::{Program, Running};

/// A hub with organizations `A` (users `u1`, `u2`) and `B` (user `bu`); every password is `pw`.
#[derive(Debug)]
pub struct ServerProcess {
    running: Running,
    address: SocketAddr,
    root_password: String,
    client: Client,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body, whole.
    pub body: Vec<u8>,
}

impl Answer {
    /// Expects this status, and gives the body as JSON.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        let start = String::from_utf8_lossy(&self.body[..self.body.len().min(500)]);
        assert_eq!(self.status, status, "{start}");
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Expects a limit: Horizon's status, code and words for one.
    #[track_caller]
    pub fn expect_limit(&self) -> String {
        let reply = self.expect(403);
        assert_eq!(reply["code"], "access-denied", "{reply}");
        let msg = reply["msg"].as_str().expect("an error has a message").to_owned();
        assert!(msg.contains("over the limit of"), "{msg}");
        msg
    }
}

impl ServerProcess {
    /// Starts a hub in `folder`.
    pub async fn start(folder: &Path) -> Self {
        let data = folder.join("hub").display().to_string();
        let arguments = ["hub", "--json", "--data", &data, "--listen", "127.0.0.1:0"];
        let mut running = Program::at_home_in(folder).start(&arguments, &folder.join("hub.log"));
        let first: Value = serde_json::from_str(&running.first_line()).expect("the hub starts");
        let address = first["registry"].as_str().expect("a hub has a registry");
        let address = address.parse().expect("an address");
        let root_password = first["rootPassword"].as_str().expect("a first start").to_owned();
        let client = Client::builder().timeout(Duration::from_mins(2)).no_proxy();
        let client = client.build().expect("a client can be made");
        let server = Self { running, address, root_password, client };
        for (org, users) in [("A", &["u1", "u2"][..]), ("B", &["bu"][..])] {
            let body = json!({"label": org, "description": org});
            server.send("root", Method::POST, &format!("/orgs/{org}"), &body).await.expect(201);
            for user in users {
                let body = json!({"password": "pw", "admin": false, "email": ""});
                let path = format!("/orgs/{org}/users/{user}");
                server.send("root", Method::POST, &path, &body).await.expect(201);
            }
        }
        server
    }

    /// Registers node `A/{id}` of user `A/u1`, whose token is `tok`.
    pub async fn node(&self, id: &str) {
        self.node_with_token(id, "tok").await;
    }

    /// Registers node `A/{id}` of user `A/u1` with this token.
    pub async fn node_with_token(&self, id: &str, token: &str) {
        let body = json!({
            "token": token, "name": id, "pattern": "", "publicKey": "", "arch": "amd64",
        });
        let path = format!("/orgs/A/nodes/{id}");
        self.send("A/u1", Method::PUT, &path, &body).await.expect(201);
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The `Authorization` header of `who`: `root`, `org/name`, or `org/name:secret`.
    pub fn authorization(&self, who: &str) -> String {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let login = match who {
            "root" => format!("root/root:{}", self.root_password),
            who if who.contains(':') => who.to_owned(),
            who => format!("{who}:pw"),
        };
        format!("Basic {}", STANDARD.encode(login))
    }

    /// Asks for `path`, below `/v1`.
    pub async fn get(&self, who: &str, path: &str) -> Answer {
        self.request(who, Method::GET, path, None).await
    }

    /// Sends a body to `path`.
    pub async fn send(&self, who: &str, method: Method, path: &str, body: &Value) -> Answer {
        self.request(who, method, path, Some(body.to_string())).await
    }

    async fn request(&self, who: &str, method: Method, path: &str, body: Option<String>) -> Answer {
        let url = format!("http://{}/v1{path}", self.address);
        let mut request = self.client.request(method, url);
        request = request.header("authorization", self.authorization(who));
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let answer = request.send().await.expect("the hub answers");
        let status = answer.status().as_u16();
        Answer { status, body: answer.bytes().await.expect("the answer ends").to_vec() }
    }

    /// The most memory that the process has had, in KiB.
    pub fn peak_memory(&self) -> u64 {
        let file = format!("/proc/{}/status", self.running.id());
        let status = std::fs::read_to_string(file).expect("the process is alive");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|it| it.trim().strip_suffix(" kB")?.parse().ok());
        peak.expect("the system tells the peak")
    }
}

/// A service without requirements, as `hzn` sends it, with a deployment of `length` bytes.
pub fn service(url: &str, length: usize) -> Value {
    json!({
        "label": url, "public": false, "url": url, "version": "1.0.0", "arch": "amd64",
        "sharable": "multiple", "deployment": "d".repeat(length), "deploymentSignature": "c2ln",
    })
}
