//! What it costs a node to verify: a document of 4 KiB, and 1,000 definitions on a node that knows nothing
//! but its pin; on one thread. Slower than the limits is a failure.

#![expect(clippy::print_stdout, reason = "a benchmark says what it has measured")]

use std::{
    collections::BTreeMap,
    error::Error,
    hint::black_box,
    process::ExitCode,
    time::{Duration, Instant},
};

use edgepost::{
    document::ServiceBody,
    sign::{Envelope, SigningKey},
    trust::{
        Catalog, CatalogEntry, Header, Marks, Stamp, StampedCatalog, StampedTrust, State,
        Statement, Trust, TrustDocument, TrustPin,
    },
    types::{Digest, DocumentKey, Subject},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

const DOCUMENTS: u64 = 1_000;
/// The length of each document, in bytes.
const LENGTH: usize = 4096;
const ONE: Duration = Duration::from_micros(100);
const ALL: Duration = Duration::from_millis(200);
/// The median of so many.
const RUNS: usize = 11;

/// An exchange's whole content, as it lies on the wire.
struct Published {
    pin: TrustPin,
    trust: Envelope,
    stamp: Vec<u8>,
    catalog: Vec<u8>,
    documents: BTreeMap<DocumentKey, Vec<u8>>,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let now: Timestamp = "2026-11-21T10:00:00Z".parse()?;
    let published = publish(now)?;
    let trust = Trust::pinned(&published.trust, &published.pin)?;

    let (key, json) = published.documents.first_key_value().ok_or("nothing is published")?;
    let envelope = Envelope::from_json(json)?;
    let one = median(|| {
        let opened = trust.open::<ServiceBody>(black_box(&envelope), key);
        opened.map(|it| drop(black_box(it)))
    })?;
    let all = median(|| cold(&published, now))?;

    println!(
        "a document of {} bytes: {} us (limit {})",
        envelope.payload().len(),
        one.as_micros(),
        ONE.as_micros()
    );
    println!("{DOCUMENTS} definitions, cold: {} ms (limit {})", all.as_millis(), ALL.as_millis());
    Ok(if one > ONE || all > ALL { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What a node does that has only its pin.
fn cold(published: &Published, now: Timestamp) -> Result<(), Box<dyn Error>> {
    let trust = Trust::pinned(&published.trust, &published.pin)?;
    let stamp = trust.open_stamp(&Envelope::from_json(&published.stamp)?, now)?;
    let (_, catalog) = Marks::default().admit(&trust, &stamp, &published.catalog, now)?;
    for (key, json) in &published.documents {
        let opened = catalog.open::<ServiceBody>(&trust, &Envelope::from_json(json)?, key)?;
        black_box(opened);
    }
    Ok(())
}

fn median<E>(mut work: impl FnMut() -> Result<(), E>) -> Result<Duration, E> {
    let mut taken = Vec::new();
    for _ in 0..RUNS {
        let start = Instant::now();
        work()?;
        taken.push(start.elapsed());
    }
    taken.sort();
    Ok(taken[RUNS / 2])
}

fn publish(now: Timestamp) -> Result<Published, Box<dyn Error>> {
    let (owner, stamper) = (SigningKey::generate(), SigningKey::generate());
    let (root, online) = (owner.verifying_key(), stamper.verifying_key());
    let trust = TrustDocument::single_key("acme".parse()?, &root, &online, now).seal(&[&owner])?;
    let pin = TrustPin(trust.digest());

    let mut catalog = Catalog::empty("acme".parse()?);
    let mut documents = BTreeMap::new();
    for number in 0..DOCUMENTS {
        let statement = service(number, now)?;
        let key = statement.header.key();
        let envelope = statement.seal(&[&owner])?;
        let Header { epoch, seq, state, .. } = statement.header;
        let entry = CatalogEntry { epoch, seq, sha256: envelope.digest(), state };
        catalog.entries.insert(key.clone(), entry);
        documents.insert(key, envelope.to_json());
    }
    let catalog = catalog.to_bytes();
    let stamp = Stamp {
        org: "acme".parse()?,
        seq: 1,
        issued: now,
        expires: now + SignedDuration::from_hours(24),
        trust: StampedTrust { version: 1, sha256: trust.digest() },
        catalog: StampedCatalog {
            version: Catalog::from_bytes(&catalog)?.version,
            sha256: Digest::of(&catalog),
            length: catalog.len() as u64,
        },
    };
    Ok(Published { pin, trust, stamp: stamp.seal(&stamper).to_json(), catalog, documents })
}

fn service(number: u64, now: Timestamp) -> Result<Statement<ServiceBody>, Box<dyn Error>> {
    let url = format!("service-{number}");
    let subject =
        Subject::Service { url: url.parse()?, version: "1.0.0".parse()?, arch: "amd64".parse()? };
    let body = |description: &str| -> Result<ServiceBody, serde_json::Error> {
        serde_json::from_value(json!({
            "definition": {
                "label": url, "description": description, "url": url, "version": "1.0.0", "arch": "amd64",
                "public": true, "sharable": "multiple", "requiredServices": [], "userInput": [],
                "deployment": "{\"services\":{\"it\":{\"image\":\"registry.example:5000/acme/it:1.0.0\"}}}"
            }
        }))
    };
    let header = Header {
        org: "acme".parse()?,
        subject,
        epoch: 0,
        seq: 1,
        issued: now,
        state: State::Active,
    };
    let short = serde_json::to_vec(&Statement { header: header.clone(), body: body("")? })?.len();
    let description = "x".repeat(LENGTH.saturating_sub(short));
    Ok(Statement { header, body: body(&description)? })
}
