//! 10,000 node policies against 100 deployment policies, on one thread; slower than a second is a
//! failure.

#![expect(clippy::print_stdout, reason = "a benchmark says what it has measured")]

use std::{error::Error, hint::black_box, process::ExitCode, time::Duration, time::Instant};

use edgepost::document::{
    Candidate, DeploymentPolicy, NodeFacts, NodePolicy, ServiceDefinition, ServicePolicy,
    matching::{
        fits,
        fleet::{PreparedNode, PreparedOffer},
    },
};
use serde_json::{Value, json};

const NODES: u64 = 10_000;
const POLICIES: u64 = 100;
const LIMIT: Duration = Duration::from_secs(1);

const SITES: [&str; 8] = ["lyon", "porto", "turin", "ghent", "malmo", "split", "brno", "cork"];
const PURPOSES: [&str; 6] = ["camera", "pump", "checkout", "gateway", "kiosk", "network-testing"];
const GROUPS: [&str; 4] = ["canary", "early", "stable", "frozen"];

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let nodes: Vec<(NodePolicy, NodeFacts)> = (0..NODES).map(node).collect::<Result<_, _>>()?;
    let offers: Vec<Offer> = (0..POLICIES).map(Offer::number).collect::<Result<_, _>>()?;

    let start = Instant::now();
    let prepared: Vec<_> =
        nodes.iter().map(|(policy, facts)| PreparedNode::new(policy, facts)).collect();
    let mut matches = 0_u64;
    for offer in &offers {
        let org = "acme".parse()?;
        let candidate = Candidate::new(&org, &offer.service, Some(&offer.service_policy));
        let offer = PreparedOffer::new(&offer.policy, &candidate);
        matches += prepared.iter().map(|node| u64::from(black_box(&offer).fits(node))).sum::<u64>();
    }
    let taken = start.elapsed();

    let pairs = NODES * POLICIES;
    let rate = u128::from(pairs) * 1_000_000 / taken.as_micros().max(1);
    println!("{NODES} nodes x {POLICIES} policies: {matches} of {pairs} pairs match");
    println!("{} ms on one thread, {rate} pairs/s", taken.as_millis());
    let (told, slow) = with_reasons(&nodes, &offers)?;
    println!("{slow} pairs/s when every clause is told (of {told} pairs)");
    Ok(if taken > LIMIT { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The same question with its whole answer, for some of the nodes; the rate of it.
fn with_reasons(
    nodes: &[(NodePolicy, NodeFacts)],
    offers: &[Offer],
) -> Result<(u128, u128), Box<dyn Error>> {
    let org = "acme".parse()?;
    let start = Instant::now();
    let mut told = 0;
    for (policy, facts) in nodes.iter().step_by(100) {
        for offer in offers {
            let candidate = Candidate::new(&org, &offer.service, Some(&offer.service_policy));
            black_box(fits(&offer.policy, &candidate, policy, facts));
            told += 1;
        }
    }
    Ok((told, told * 1_000_000 / start.elapsed().as_micros().max(1)))
}

/// A node as they are found: built-in properties, some of its owner, and two constraints.
fn node(number: u64) -> Result<(NodePolicy, NodeFacts), Box<dyn Error>> {
    let mut dice = Dice(number);
    let policy = json!({
        "properties": [{"name": "openhorizon.allowPrivileged", "value": dice.roll(4) == 0}],
        "deployment": {
            "properties": [
                {"name": "site", "value": dice.one_of(&SITES)},
                {"name": "purpose", "value": dice.one_of(&PURPOSES)},
                {"name": "group", "value": dice.one_of(&GROUPS)},
                {"name": "floor", "value": dice.roll(12)},
                {"name": "firmware", "value": format!("{}.{}.0", dice.roll(4), dice.roll(10)),
                    "type": "version"},
                {"name": "sensors", "value": format!("{},{}", dice.one_of(&["co2", "heat"]),
                    dice.one_of(&["noise", "light"])), "type": "list of strings"},
                {"name": "gpu", "value": dice.roll(5) == 0},
                {"name": "owner", "value": format!("shop-{}", dice.roll(500))},
            ],
            "constraints": [
                "level == gold OR level == silver",
                "openhorizon.service.org == acme AND beta != true",
            ],
        },
    });
    let mut facts = NodeFacts::device(["amd64", "arm64"][usize::from(dice.roll(3) == 0)].parse()?);
    facts.cpus = Some(1 << dice.roll(5));
    facts.memory_mb = Some(512 << dice.roll(6));
    facts.hardware_id = Some(format!("{number:016x}"));
    facts.operating_system = Some(dice.one_of(&["debian", "ubuntu", "raspbian"]).to_owned());
    facts.containerized = Some(dice.roll(2) == 0);
    Ok((serde_json::from_value(policy)?, facts))
}

/// A deployment policy with its service.
struct Offer {
    policy: DeploymentPolicy,
    service: ServiceDefinition,
    service_policy: ServicePolicy,
}

impl Offer {
    fn number(number: u64) -> Result<Self, Box<dyn Error>> {
        let mut dice = Dice(number + 1_000_000);
        let name = format!("service-{number}");
        let places = match dice.roll(3) {
            0 => format!("site == {} OR site == {}", dice.one_of(&SITES), dice.one_of(&SITES)),
            1 => format!("site in \"{},{}\"", dice.one_of(&SITES), dice.one_of(&SITES)),
            _ => format!("(floor > {} AND gpu == true) OR site != lyon", dice.roll(12)),
        };
        let policy = json!({
            "service": {"name": name, "org": "acme", "arch": "*",
                "serviceVersions": [{"version": "1.2.0"}]},
            "properties": [
                {"name": "level", "value": dice.one_of(&["gold", "silver", "bronze"])},
                {"name": "beta", "value": dice.roll(10) == 0},
            ],
            "constraints": [
                places,
                format!("purpose == {} OR group != frozen", dice.one_of(&PURPOSES)),
                "firmware in [1.0.0,3.0.0)",
                format!("openhorizon.memory >= {}", 512 << dice.roll(3)),
            ],
        });
        let privileged = dice.roll(8) == 0;
        let arch = ["amd64", "arm64"][usize::from(dice.roll(2) == 0)];
        let service = json!({"url": name, "version": "1.2.0", "arch": arch, "sharable": "multiple",
            "userInput": [{"name": "LEVEL", "type": "string", "defaultValue": "info"}],
            "deployment": {"services": {"main":
                {"image": "registry.example/app:1", "privileged": privileged}}}});
        let sensors: Value = match dice.roll(2) {
            0 => json!(["sensors in \"co2,light\""]),
            _ => json!([]),
        };
        Ok(Self {
            policy: serde_json::from_value(policy)?,
            service: serde_json::from_value(service)?,
            service_policy: serde_json::from_value(json!({"constraints": sensors}))?,
        })
    }
}

/// Numbers that look random and are the same in every run (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn one_of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        let at = self.roll(words.len() as u64);
        words.iter().zip(0..).find(|(_, index)| *index == at).map_or("", |(word, _)| word)
    }
}
