//! A full disk under the exchange: it answers 507, recovers by itself, and says so.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::record_bound;
use crate::support::{
    disk::SmallDisk,
    program::{Program, Running},
};

/// The size of the disk in KiB; its reserve is the largest there is.
const DISK: u64 = 64 << 10;
/// How soon a write goes through after the disk has space again.
const RECOVERY: Duration = Duration::from_secs(30);
/// What `admin/status` says when all is well.
const NORMAL: &str = "Exchange server operating normally";

/// An exchange whose data folder is a small disk, or an ordinary folder.
struct Site {
    running: Option<Running>,
    url: String,
    client: reqwest::Client,
    disk: Option<SmallDisk>,
    folder: tempfile::TempDir,
}

impl Site {
    /// An exchange on a small disk; `None` where none can be mounted.
    async fn on_small_disk() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let disk = SmallDisk::at(&folder.path().join("data"), DISK)?;
        Some(Self { disk: Some(disk), ..Self::start(folder).await })
    }

    async fn start(folder: tempfile::TempDir) -> Self {
        fs::write(folder.path().join("root"), "root-secret\n").unwrap();
        let (running, url) = spawn(folder.path());
        let client = reqwest::Client::builder().timeout(Duration::from_mins(1)).build().unwrap();
        let site = Self { running: Some(running), url, client, disk: None, folder };
        assert_eq!(site.create_org().await, 201);
        site
    }

    fn disk(&self) -> &SmallDisk {
        self.disk.as_ref().unwrap()
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("data/exchange.db")
    }

    /// Ends the exchange at once, and starts it on the same folder.
    fn kill_and_restart(&mut self) {
        self.running.take().unwrap().kill();
        let (running, url) = spawn(self.folder.path());
        (self.running, self.url) = (Some(running), url);
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let request = self.client.request(method, format!("{}{path}", self.url));
        let mut request = request.basic_auth("root/root", Some("root-secret"));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        if status == 503 {
            assert!(response.headers().contains_key("retry-after"));
        }
        (status, response.json().await.unwrap_or(Value::Null))
    }

    async fn create_org(&self) -> u16 {
        let body = json!({"label": "acme", "description": "acme"});
        self.ask(Method::POST, "/orgs/acme", Some(body)).await.0
    }

    /// Publishes a service in Horizon's way, with a description of `length` bytes.
    async fn create(&self, name: &str, length: usize) -> u16 {
        let body = json!({
            "label": name, "description": "d".repeat(length), "public": false, "url": name,
            "version": "1.0.0", "arch": "amd64", "sharable": "exclusive", "deployment": "{}",
            "deploymentSignature": "c2ln",
        });
        self.ask(Method::POST, "/orgs/acme/services", Some(body)).await.0
    }

    async fn delete(&self, name: &str) -> u16 {
        let path = format!("/orgs/acme/services/{name}_1.0.0_amd64");
        self.ask(Method::DELETE, &path, None).await.0
    }

    /// What the exchange says of itself.
    async fn condition(&self) -> String {
        let (status, body) = self.ask(Method::GET, "/admin/status", None).await;
        assert_eq!(status, 200);
        body["msg"].as_str().unwrap().to_owned()
    }

    /// Fills the disk by services, until one is refused for it; gives those that were accepted.
    async fn publish_until_full(&self) -> BTreeSet<String> {
        let mut accepted = BTreeSet::new();
        for number in 0.. {
            let name = format!("s{number}");
            match self.create(&name, 20_000).await {
                201 => accepted.insert(name),
                507 => break,
                other => panic!("a write on a disk that fills up got {other}"),
            };
        }
        accepted
    }

    /// Waits for a write to go through; gives how long that took.
    async fn recover(&self, name: &str) -> Duration {
        let begin = Instant::now();
        loop {
            match self.create(name, 100).await {
                201 => return begin.elapsed(),
                503 | 507 => (),
                other => panic!("a write on a disk with space got {other}"),
            }
            assert!(
                begin.elapsed() < RECOVERY,
                "no write goes through: {}",
                self.condition().await
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Holds the database against what was acknowledged and against the change feed.
    async fn check(&self, acknowledged: &BTreeSet<String>) {
        let options = SqliteConnectOptions::new().filename(self.database()).read_only(true);
        let mut database = SqliteConnection::connect_with(&options).await.unwrap();
        let stored: Vec<String> =
            sqlx::query_scalar("SELECT url FROM services").fetch_all(&mut database).await.unwrap();
        let stored: BTreeSet<_> = stored.into_iter().collect();
        let lost: Vec<_> = acknowledged.difference(&stored).collect();
        assert!(lost.is_empty(), "acknowledged and not stored: {lost:?}");
        let ids: Vec<i64> = sqlx::query_scalar("SELECT id FROM changes ORDER BY id")
            .fetch_all(&mut database)
            .await
            .unwrap();
        let newest: i64 = sqlx::query_scalar("SELECT value FROM counters WHERE name = 'change'")
            .fetch_one(&mut database)
            .await
            .unwrap();
        assert_eq!(ids, (1..=newest).collect::<Vec<_>>(), "the feed has a gap");
        let body = json!({"changeId": newest, "maxRecords": 10});
        let (status, feed) = self.ask(Method::POST, "/orgs/acme/changes", Some(body)).await;
        assert_eq!((status, feed["mostRecentChangeId"].as_i64()), (201, Some(newest)), "{feed}");
    }
}

fn spawn(folder: &Path) -> (Running, String) {
    let program = Program::at_home_in(folder);
    let arguments = ["exchange", "--json", "--data", "data", "--listen", "127.0.0.1:0"];
    let arguments = [&arguments[..], &["--root-password-file", "root"]].concat();
    let log = folder.join("log");
    let mut running = program.start(&arguments, &log);
    let line = running.first_line();
    let first: Value = serde_json::from_str(&line)
        .unwrap_or_else(|_| panic!("{line:?}: {}", fs::read_to_string(log).unwrap()));
    (running, first["exchange"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_507_and_deletions_go_through() {
    let Some(site) = Site::on_small_disk().await else { return };
    site.disk().take_all_but(6 << 20);
    let mut accepted = site.publish_until_full().await;
    assert!(!accepted.is_empty());
    // Another program takes a part of the reserve that was given up.
    site.disk().take_all_but(4 << 20);
    let condition = site.condition().await;
    assert!(condition.contains("disk is full"), "{condition}");
    for number in 0..20 {
        assert_eq!(site.create(&format!("refused{number}"), 100).await, 507);
    }

    let deleted: Vec<_> = accepted.iter().take(20).cloned().collect();
    for name in &deleted {
        assert_eq!(site.delete(name).await, 204, "{name}");
        accepted.remove(name);
    }
    site.check(&accepted).await;

    site.disk().free();
    let took = site.recover("after").await;
    accepted.insert("after".to_owned());
    assert_eq!(site.condition().await, NORMAL);
    site.check(&accepted).await;
    record_bound(
        2,
        "full disk: time until a write goes through once space is free",
        "30 s",
        format!("{:.1} s, {} deletions while full", took.as_secs_f64(), deleted.len()),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_on_a_disk_without_a_free_byte_goes_through_at_the_first_try() {
    let Some(site) = Site::on_small_disk().await else { return };
    for name in ["a", "b"] {
        assert_eq!(site.create(name, 50_000).await, 201);
    }
    site.disk().take_all_but(0);
    assert_eq!(site.delete("a").await, 204);
    assert_eq!(site.create("c", 10).await, 507);
    site.disk().free();
    site.recover("d").await;
    site.check(&["b".to_owned(), "d".to_owned()].into()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_on_a_full_disk_survives_sigkill() {
    let Some(mut site) = Site::on_small_disk().await else { return };
    site.disk().take_all_but(4 << 20);
    let mut accepted = site.publish_until_full().await;
    site.disk().take_all_but(0);

    site.kill_and_restart();
    let condition = site.condition().await;
    assert!(condition.contains("disk is full"), "{condition}");
    site.check(&accepted).await;

    site.disk().free();
    site.recover("after").await;
    accepted.insert("after".to_owned());
    site.kill_and_restart();
    site.check(&accepted).await;
    assert_eq!(site.condition().await, NORMAL);
}

/// `EDGEPOST_TEST_FULL_DISKS` says how often the disk is filled; ten times without it.
#[tokio::test(flavor = "multi_thread")]
async fn no_writer_is_stuck_after_a_disk_was_full_at_random_moments() {
    let Some(mut site) = Site::on_small_disk().await else { return };
    let runs = std::env::var("EDGEPOST_TEST_FULL_DISKS").ok().and_then(|it| it.parse().ok());
    let runs: u64 = runs.unwrap_or(10);
    let (mut refused, mut acknowledged, mut kills) = (0_u64, 0, 0);
    let mut slowest = Duration::ZERO;
    let mut stored = BTreeSet::new();
    for run in 0..runs {
        let mut random = Random(run + 1);
        let (filled_after, left) = (random.below(150), random.below(3 << 20));
        let takes_reserve = random.below(2) == 1;
        let is_running = AtomicU64::new(1);
        let writer = async |writer: u64| {
            let mut random = Random(run * 100 + writer);
            let (mut names, mut refused) = (Vec::new(), 0);
            for number in 0.. {
                if is_running.load(Ordering::Relaxed) == 0 {
                    break;
                }
                let name = format!("r{run}w{writer}n{number}");
                let length = usize::try_from(random.below(40_000)).unwrap();
                match site.create(&name, length).await {
                    201 => names.push(name),
                    503 | 507 => refused += 1,
                    other => panic!("run {run}: a write on a full disk got {other}"),
                }
            }
            (names, refused)
        };
        let fault = async {
            tokio::time::sleep(Duration::from_millis(filled_after)).await;
            site.disk().take_all_but(left);
            tokio::time::sleep(Duration::from_millis(200)).await;
            if takes_reserve {
                // Another program takes the reserve as well, once it was given up.
                site.disk().take_all_but(0);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            is_running.store(0, Ordering::Relaxed);
        };
        let (first, second, third, ()) = tokio::join!(writer(1), writer(2), writer(3), fault);
        for (names, count) in [first, second, third] {
            refused += count;
            acknowledged += names.len();
            stored.extend(names);
        }
        if let Some(name) = stored.first().cloned() {
            match site.delete(&name).await {
                204 => drop(stored.remove(&name)),
                507 if takes_reserve => (),
                other => panic!("run {run}: a deletion on a full disk got {other}"),
            }
        }
        if run % 2 == 0 {
            site.kill_and_restart();
            kills += 1;
        }
        site.disk().free();
        let name = format!("r{run}after");
        slowest = slowest.max(site.recover(&name).await);
        stored.insert(name);
        site.check(&stored).await;
        assert_eq!(site.condition().await, NORMAL, "run {run}");
        assert_eq!(site.ask(Method::DELETE, "/orgs/acme", None).await.0, 204);
        assert_eq!(site.create_org().await, 201);
        stored.clear();
    }
    assert!(refused > 0 && acknowledged > 0);
    record_bound(
        2,
        "disk of the exchange full at random moments, SIGKILL in every other run",
        "0 stuck writers, 0 acknowledged writes lost, 0 answers of 500",
        format!(
            "{runs} runs, {kills} kills: 0 stuck, 0 of {acknowledged} lost, {refused} refused by 507 or 503, \
             slowest recovery {:.1} s",
            slowest.as_secs_f64()
        ),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_locked_beyond_the_wait_is_503() {
    let site = Site::start(tempfile::tempdir().unwrap()).await;
    let options = SqliteConnectOptions::new().filename(site.database());
    let mut other = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();

    let statuses = tokio::join!(site.create("a", 10), site.create("b", 10), site.delete("c"));
    assert_eq!(statuses, (503, 503, 503));
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    site.recover("a").await;
    assert_eq!(site.condition().await, NORMAL);
}

#[tokio::test(flavor = "multi_thread")]
async fn images_that_fill_the_disk_leave_the_exchange_beside_them_its_space() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::at(&folder.path().join("data"), DISK) else { return };
    let program = Program::at_home_in(folder.path());
    let log = folder.path().join("log");
    let arguments = ["hub", "--json", "--data", "data", "--listen", "127.0.0.1:0"];
    let mut running = program.start(&arguments, &log);
    let first: Value = serde_json::from_str(&running.first_line()).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (root, push) = (text(&first["rootPassword"]), text(&first["registryAccounts"]["push"]));
    let (url, registry) = (text(&first["exchange"]), text(&first["registry"]));
    let client = reqwest::Client::new();

    let mut refused = 0;
    for _ in 0..8 {
        let begun = client.post(format!("http://{registry}/v2/a/b/blobs/uploads/"));
        let begun = begun.basic_auth("push", Some(&push)).send().await.unwrap();
        if begun.status() == 507 {
            refused += 1;
            continue;
        }
        let location = begun.headers()["location"].to_str().unwrap().to_owned();
        let location = match location.strip_prefix('/') {
            Some(path) => format!("http://{registry}/{path}"),
            None => location,
        };
        let body = client.patch(location).basic_auth("push", Some(&push)).body(vec![7; 16 << 20]);
        // A refusal may come while the body is still sent.
        let status = body.send().await.map_or(507, |it| it.status().as_u16());
        assert!([202, 507].contains(&status), "{status}");
        refused += u64::from(status == 507);
    }
    assert!(refused > 0, "{} bytes are free", disk.free_bytes());
    let body = json!({"label": "acme", "description": "acme"});
    let created = client.post(format!("{url}/orgs/acme")).basic_auth("root/root", Some(&root));
    assert_eq!(created.json(&body).send().await.unwrap().status(), 201);
}

/// Numbers that are the same in each run of the tests (`SplitMix64`).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
