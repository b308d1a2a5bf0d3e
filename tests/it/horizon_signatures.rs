//! Horizon's signatures, ours and OpenSSL's, each judged by the other.

use std::{fs, path::Path, process::Command};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use edgepost::sign::compat::horizon::{HorizonKey, HorizonPublicKey};

use crate::support::peers;

const DEPLOYMENT: &str = r#"{"services":{"hello":{"image":"example/hello@sha256:00"}}}"#;

/// Whether OpenSSL takes the signature in file `signature` for one over file `message`, by the public key in
/// `public.pem`, with any salt.
fn openssl_takes(folder: &Path, message: &str, signature: &str) -> bool {
    let mut openssl = Command::new("openssl");
    openssl.args(["dgst", "-sha256", "-sigopt", "rsa_padding_mode:pss", "-verify", "public.pem"]);
    openssl.args(["-signature", signature, message]).current_dir(folder);
    openssl.output().unwrap().status.success()
}

fn openssl(folder: &Path, arguments: &[&str]) {
    peers::run(Command::new("openssl").args(arguments).current_dir(folder));
}

#[test]
fn signatures_of_every_size_and_salt_hold_at_both_ends_by_key_and_by_certificate() {
    if !peers::has("openssl") {
        return;
    }
    let (mut held, mut refused) = (0, 0);
    for bits in ["2048", "3072", "4096"] {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        openssl(at, &["genrsa", "-traditional", "-out", "key.pem", bits]);
        openssl(at, &["rsa", "-in", "key.pem", "-pubout", "-out", "public.pem"]);
        let own = ["req", "-x509", "-key", "key.pem", "-subj", "/CN=acme", "-days", "9"];
        openssl(at, &[&own[..], &["-out", "certificate.pem"]].concat());
        fs::write(at.join("message"), DEPLOYMENT).unwrap();
        fs::write(at.join("other"), format!("{DEPLOYMENT} ")).unwrap();
        let read = |name: &str| fs::read_to_string(at.join(name)).unwrap();

        // Ours, whose salt has 32 bytes: by the public half as OpenSSL writes it, and as we do.
        let key = HorizonKey::from_pem(&read("key.pem")).unwrap();
        let ours = STANDARD.decode(key.sign(DEPLOYMENT).unwrap()).unwrap();
        let mut flipped = ours.clone();
        flipped[100] ^= 1;
        fs::write(at.join("ours"), &ours).unwrap();
        fs::write(at.join("flipped"), flipped).unwrap();
        for public in [read("public.pem"), key.public_pem().unwrap()] {
            fs::write(at.join("public.pem"), public).unwrap();
            held += u32::from(openssl_takes(at, "message", "ours"));
            refused += u32::from(!openssl_takes(at, "other", "ours"));
            refused += u32::from(!openssl_takes(at, "message", "flipped"));
        }

        // Theirs, of either salt, by the key and by the certificate.
        for salt in ["digest", "max"] {
            let length = format!("rsa_pss_saltlen:{salt}");
            let sign = ["dgst", "-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", &length];
            let sign = [&sign[..], &["-sign", "key.pem", "-out", "theirs", "message"]].concat();
            openssl(at, &sign);
            let theirs = fs::read(at.join("theirs")).unwrap();
            let mut flipped = theirs.clone();
            flipped[100] ^= 1;
            for public in ["public.pem", "certificate.pem"] {
                let public = HorizonPublicKey::from_pem(&read(public)).unwrap();
                held += u32::from(public.verifies(DEPLOYMENT, &STANDARD.encode(&theirs)));
                refused += u32::from(!public.verifies(&read("other"), &STANDARD.encode(&theirs)));
                refused += u32::from(!public.verifies(DEPLOYMENT, &STANDARD.encode(&flipped)));
            }
        }
    }
    println!("RSA-PSS with OpenSSL: {held} of 18 held, {refused} of 36 altered ones refused");
    assert_eq!((held, refused), (18, 36));
}
