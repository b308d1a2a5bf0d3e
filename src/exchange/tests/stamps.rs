//! Trust documents, and the stamps that vouch for what is the newest.

use jiff::SignedDuration;

use super::*;
use crate::trust::{Catalog, Stamp, Trust, TrustPin};

async fn stamp(lab: &Lab) -> Stamp {
    serde_json::from_slice(lab.ada.stamp().await.unwrap().payload()).unwrap()
}

#[tokio::test]
async fn trust_goes_on_one_signed_version_at_a_time() {
    let lab = Lab::start().await;
    let first = lab.ada.trust(1).await.unwrap().unwrap();
    assert!(!lab.ada.put_trust(&first).await.unwrap());

    let trust = Trust::pinned(&first, &TrustPin(first.digest())).unwrap();
    let next = |version, key: &SigningKey| {
        let next = TrustDocument { version, ..trust.document().clone() };
        Envelope::seal(PayloadType::Trust, serde_json::to_vec(&next).unwrap(), &[key])
    };
    let refused = lab.ada.put_trust(&next(3, &lab.publisher)).await.unwrap_err();
    assert!(matches!(refused, ExchangeError::Conflict { .. }), "{refused:?}");
    let refused = lab.ada.put_trust(&next(2, &SigningKey::generate())).await.unwrap_err();
    assert!(matches!(refused, ExchangeError::SignatureRefused { .. }), "{refused:?}");
    let refused = lab.as_user("bob").put_trust(&next(2, &lab.publisher)).await.unwrap_err();
    assert!(matches!(refused, ExchangeError::Denied { .. }), "{refused:?}");

    let before = stamp(&lab).await;
    assert!(lab.ada.put_trust(&next(2, &lab.publisher)).await.unwrap());
    assert_eq!(lab.ada.newest_trust().await.unwrap(), Some(2));
    let after = stamp(&lab).await;
    assert_eq!((after.seq, after.trust.version), (before.seq + 1, 2));
    lab.publish(lab.hello(1, "Hello")).await.unwrap();
}

#[tokio::test]
async fn the_trust_of_another_organization_is_refused() {
    let lab = Lab::distrustful().await;
    assert!(lab.ada.newest_trust().await.unwrap().is_none());
    assert!(lab.ada.stamp().await.unwrap_err().is_not_found());
    let owner = lab.publisher.verifying_key();
    let now = lab.clock.now();
    let other = TrustDocument::single_key("other".parse().unwrap(), &owner, &owner, now);
    let payload = serde_json::to_vec(&other).unwrap();
    let other = Envelope::seal(PayloadType::Trust, payload, &[&lab.publisher]);
    let refused = lab.ada.put_trust(&other).await.unwrap_err();
    let ExchangeError::SignatureRefused { attack, .. } = refused else { panic!("{refused:?}") };
    assert_eq!(attack, "relabel");
}

#[tokio::test]
async fn a_stamp_is_renewed_when_it_is_an_hour_old() {
    let lab = Lab::start().await;
    let first = stamp(&lab).await;
    assert_eq!(first.catalog.version, 1);
    assert_eq!(first.issued.duration_until(first.expires), SignedDuration::from_hours(24));
    lab.clock.advance(SignedDuration::from_mins(59));
    assert_eq!(stamp(&lab).await, first);
    lab.clock.advance(SignedDuration::from_mins(2));
    let second = stamp(&lab).await;
    assert_eq!(second.seq, first.seq + 1);
    assert_eq!((second.issued, second.catalog), (lab.clock.now(), first.catalog));
}

#[tokio::test]
async fn a_catalog_is_told_in_changes_from_any_earlier_one() {
    let lab = Lab::start().await;
    let catalog =
        async |version| Catalog::from_bytes(&lab.ada.catalog(version).await.unwrap()).unwrap();
    for seq in 1..=3 {
        lab.publish(lab.hello(seq, "Hello")).await.unwrap();
    }
    let body = service_body(&service("bye"), "Bye", &json!([]));
    let bye = |seq, state| lab.sealed((&service("bye")).into(), seq, state, &body);
    lab.publish(bye(1, State::Active)).await.unwrap();
    let newest = lab.publish(bye(2, State::Withdrawn)).await.unwrap().catalog_version;
    let whole = catalog(newest).await;
    for from in 1..newest {
        let difference = lab.ada.catalog_difference(from, newest).await.unwrap().unwrap();
        let later = catalog(from).await.with(difference).unwrap();
        assert_eq!(later.to_bytes(), whole.to_bytes(), "from {from}");
    }
    for (from, to) in [(newest, newest), (newest, 1), (1, newest + 1), (0, newest)] {
        let difference = lab.ada.catalog_difference(from, to).await.unwrap();
        assert_eq!(difference, None, "from {from} to {to}");
    }
}

#[tokio::test]
async fn another_organization_reads_none_of_it() {
    let lab = Lab::start().await;
    let root = client(&lab.server, "root", "root", "pw").about("rival".parse().unwrap());
    root.create_org(root.org(), &OrgRequest::new("Rival", "Rival")).await.unwrap();
    let (password, email) = (WireSecret(Secret::new("pw")), String::new());
    let user = UserRequest { password, admin: true, hub_admin: false, email };
    root.create_user(&"eve".parse().unwrap(), &user).await.unwrap();
    let eve = client(&lab.server, "rival", "eve", "pw").about(acme());
    for refused in [
        eve.stamp().await.unwrap_err(),
        eve.catalog(1).await.unwrap_err(),
        eve.catalog_difference(1, 2).await.unwrap_err(),
        eve.trust(1).await.unwrap_err(),
        eve.put_trust(&lab.first_trust().await).await.unwrap_err(),
    ] {
        assert!(matches!(refused, ExchangeError::Denied { .. }), "{refused:?}");
    }
    assert!(lab.ada.is_edgepost().await.unwrap());
}

#[tokio::test]
async fn exchange_whose_clock_was_ahead_goes_on_at_the_right_time_with_higher_numbers() {
    let lab = Lab::start().await;
    let right = lab.clock.now();
    let first = stamp(&lab).await;
    for span in [SignedDuration::from_hours(72), SignedDuration::from_hours(24 * 3650)] {
        lab.clock.advance(span);
        let ahead = stamp(&lab).await;
        assert_eq!(ahead.issued, right + span);
        lab.clock.advance(-span);
        let after = stamp(&lab).await;
        assert_eq!((after.issued, after.seq), (right, ahead.seq + 1));
        assert!(ahead.seq > first.seq);
    }
}

#[tokio::test]
async fn exchange_says_its_own_time_and_takes_no_trust_of_the_future() {
    let lab = Lab::start().await;
    assert_eq!(lab.as_user("bob").time(), None, "nothing was asked yet");
    let first = lab.first_trust().await;
    let told = lab.ada.time().unwrap();
    assert!(lab.clock.now().duration_since(told).abs() < SignedDuration::from_mins(1), "{told}");
    let hours = SignedDuration::from_hours;
    assert!(lab.ada.check_clock(lab.clock.now()).is_ok());
    for span in [hours(2), hours(300 * 24), hours(-2)] {
        assert!(lab.ada.check_clock(lab.clock.now() + span).is_err());
    }

    let trust = Trust::pinned(&first, &TrustPin(first.digest())).unwrap();
    let next = |span| {
        let next = trust.document().next(lab.clock.now() + span);
        next.seal(&[&lab.publisher]).unwrap()
    };
    let refused = lab.ada.put_trust(&next(hours(300 * 24))).await.unwrap_err();
    let ExchangeError::SignatureRefused { attack, .. } = refused else { panic!("{refused:?}") };
    assert_eq!(attack, "fast-forward");
    assert!(lab.ada.put_trust(&next(SignedDuration::from_mins(59))).await.unwrap());
}
