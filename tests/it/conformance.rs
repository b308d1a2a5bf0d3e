//! The scenarios of TUF's conformance suite (github.com/theupdateframework/tuf-conformance, as of commit
//! eec841c186f81f2d9d8d30460c7e7deefa615f9e), by name, and where each is told here. What TUF calls root is our trust
//! document, timestamp our stamp, snapshot our catalog, targets our documents, and a delegation a rule.

use std::{collections::BTreeSet, fs, path::Path};

use edgepost::{
    sign::SigningKey,
    trust::{Catalog, Marks, Stamp, StampedCatalog, StampedTrust, Trust, TrustDocument, TrustPin},
    types::Digest,
};
use jiff::{SignedDuration, Timestamp};

/// Where a scenario is told.
enum Ours {
    /// In the test of this name.
    Test(&'static str),
    /// In the folder of this attack.
    Attack(&'static str),
    /// Nowhere, since it is about something that we have not.
    Without(&'static str),
}

use Ours::{Attack, Test, Without};

const SCENARIOS: [(&str, Ours); 56] = [
    // test_basic.py
    ("test_basic_refresh_requests", Test("a_node_that_was_away_during_an_update_catches_up")),
    ("test_basic_refresh_trusted_data", Test("committed_state_is_read_after_restart")),
    ("test_implicit_refresh", Without("a node fetches nothing before it has the newest stamp")),
    ("test_invalid_initial_root", Test("only_the_pinned_document_is_a_root")),
    ("test_unsigned_initial_root", Test("a_root_signs_itself")),
    ("test_unsigned_metadata", Test("a_stranger_is_refused")),
    ("test_url_and_metadata_version_mismatch", Test("versions_follow_one_another")),
    ("test_timestamp_content_changes", Attack("equivocation")),
    ("test_basic_metadata_hash_support", Test("only_the_listed_state_opens")),
    ("test_targets_hash_mismatch", Attack("altered")),
    ("test_snapshot_hash_mismatch", Test("a_stamp_and_a_catalog_must_belong_together")),
    ("test_metadata_bytes_match", Test("committed_state_is_read_after_restart")),
    // TUF keeps what it does not know; we refuse it, so that nothing signed has two readings.
    ("test_custom_fields", Test("signed_json_with_two_readings_is_refused")),
    ("test_deprecated_keyid_hash_algorithms", Without("a key has one id, computed from it")),
    ("test_snapshot_404", Attack("missing-catalog")),
    ("test_targets_404", Attack("partial-state")),
    ("test_timestamp_404", Attack("missing-stamp")),
    ("test_incorrect_metadata_type", Test("an_envelope_is_not_taken_for_one_of_another_type")),
    ("test_faketime", Test("a_clock_ten_years_fast_stops_nothing_and_a_right_one_goes_on")),
    // test_expiration.py
    ("test_root_expired", Test("an_expired_trust_is_a_freeze")),
    ("test_timestamp_expired", Attack("freeze")),
    ("test_snapshot_expired", Without("a catalog ends with the stamp that pins it")),
    ("test_targets_expired", Without("a document ends with the stamp of its catalog")),
    ("test_expired_local_root", Test("what_has_ended_here_is_followed_by_what_is_fresh_there")),
    (
        "test_expired_local_timestamp",
        Test("what_has_ended_here_is_followed_by_what_is_fresh_there"),
    ),
    // test_file_download.py
    (
        "test_client_downloads_expected_file",
        Test("a_node_with_a_pattern_gets_its_service_and_then_the_next_version"),
    ),
    ("test_client_downloads_expected_file_in_sub_dir", Without("names are no paths")),
    ("test_repository_substitutes_target_file", Attack("swapped-layer")),
    (
        "test_multiple_changes_to_target",
        Test("an_agent_that_is_killed_never_forgets_what_it_has_seen"),
    ),
    ("test_download_with_hash_algorithms", Without("SHA-256 alone")),
    ("test_download_with_unknown_hash_algorithm", Without("SHA-256 alone")),
    (
        "test_artifact_cache",
        Test("a_pull_that_is_killed_goes_on_in_another_process_and_finds_what_was_damaged"),
    ),
    // test_keys.py
    (
        "test_snapshot_does_not_meet_threshold",
        Test("two_signatures_of_one_key_are_not_two_signers"),
    ),
    ("test_snapshot_has_too_few_keys", Test("a_contradiction_is_refused_though_it_is_signed")),
    ("test_duplicate_keys", Test("a_contradiction_is_refused_though_it_is_signed")),
    ("test_duplicate_sig_keyids", Test("two_signatures_of_one_key_are_not_two_signers")),
    ("test_keytype_and_scheme", Without("one algorithm, fixed by the payload type")),
    ("test_invalid_sig_in_valid_metadata", Test("a_bad_signature_does_not_hide_a_good_one")),
    // test_quoting_issues.py
    ("test_unusual_role_name", Test("a_segment_cannot_leave_its_place_in_the_path")),
    // test_repository_simulator.py
    ("test_repo_initialzation_unittest", Without("it tests the suite itself")),
    ("test_basic_metadata_hash_support_unittest", Without("it tests the suite itself")),
    ("test_update_timestamp", Without("it tests the suite itself")),
    // test_rollback.py
    ("test_new_timestamp_version_rollback", Attack("rollback")),
    ("test_snapshot_rollback", Test("nothing_older_is_admitted")),
    ("test_targets_role_removal", Attack("vanished")),
    ("test_targets_fast_forward_recovery", Attack("exhausted-numbers")),
    (
        "test_new_snapshot_fast_forward_recovery",
        Test("counters_that_a_thief_raised_fall_with_the_stamp_key"),
    ),
    ("test_new_timestamp_fast_forward_recovery", Attack("stolen-stamp-key")),
    ("test_targets_rollback", Attack("older-document")),
    // test_static_repositories.py
    ("test_static_repository", Without("recordings of TUF's own format")),
    // test_updater_delegation_graphs.py: rules are flat, and the one with the longest prefix alone decides.
    ("test_graph_traversal", Test("a_broad_rule_does_not_sign_into_a_stricter_name_space")),
    ("test_targetfile_search", Test("a_name_without_a_rule_cannot_be_signed")),
    ("test_cached_role_is_verified_against_current_delegator", Attack("revoked-key")),
    ("test_delegation_not_in_snapshot", Test("only_the_listed_state_opens")),
    // test_updater_key_rotations.py
    ("test_root_rotation", Test("whoever_may_follow_in_a_chain_is_whom_the_rules_allow")),
    ("test_non_root_rotations", Test("a_new_stamp_key_ends_the_old_one")),
];

/// The names of all tests in the files below `folder`.
fn tests_below(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            tests_below(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let after = text.split("test]\n").skip(1);
            let names = after.filter_map(|it| it.split_once("fn ")?.1.split_once('('));
            found.extend(names.map(|(name, _)| name.to_owned()));
        }
    }
}

#[test]
fn every_scenario_of_tufs_suite_is_told_or_is_about_something_else() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = BTreeSet::new();
    tests_below(&root.join("src"), &mut tests);
    tests_below(&root.join("tests"), &mut tests);
    let (mut told, mut without) = (0, 0);
    for (name, ours) in &SCENARIOS {
        match ours {
            Test(test) => assert!(tests.contains(*test), "{name}: there is no test {test}"),
            Attack(attack) => {
                let folder = root.join("tests/it/attacks").join(attack);
                assert!(folder.is_dir(), "{name}: there is no attack {attack}");
            }
            Without(why) => assert!(!why.is_empty()),
        }
        let is_told = !matches!(ours, Without(_));
        *(if is_told { &mut told } else { &mut without }) += 1;
    }
    println!("TUF's conformance suite: {told} scenarios told, {without} about what we have not");
    assert_eq!((told, without), (44, 12));
}

#[test]
fn what_has_ended_here_is_followed_by_what_is_fresh_there() {
    let key = SigningKey::generate();
    let (public, begin) = (key.verifying_key(), Timestamp::UNIX_EPOCH);
    let day = SignedDuration::from_hours(24);
    let first = TrustDocument::single_key("acme".parse().unwrap(), &public, &public, begin);
    let sealed = first.seal(&[&key]).unwrap();
    let trust = Trust::pinned(&sealed, &TrustPin(sealed.digest())).unwrap();
    let bytes = Catalog::empty("acme".parse().unwrap()).to_bytes();
    let admitted = |marks: &Marks, trust: &Trust, seq, now: Timestamp| {
        let stamp = Stamp {
            org: "acme".parse().unwrap(),
            seq,
            issued: now,
            expires: now + day,
            trust: StampedTrust { version: trust.version(), sha256: trust.digest() },
            catalog: StampedCatalog {
                version: 0,
                sha256: Digest::of(&bytes),
                length: bytes.len() as u64,
            },
        };
        let opened = trust.open_stamp(&stamp.seal(&key), now)?;
        marks.admit(trust, &opened, &bytes, now).map(|(marks, _)| marks)
    };
    let marks = admitted(&Marks::default().no_earlier_than(begin), &trust, 1, begin).unwrap();

    // A week later the stamp has ended, two years later the trust: whoever was away so long catches up.
    let marks = admitted(&marks, &trust, 2, begin + day * 7).unwrap();
    let later = begin + day * 730;
    assert_eq!(admitted(&marks, &trust, 3, later).unwrap_err().attack(), "freeze");
    let renewed = trust.advance(&first.next(later).seal(&[&key]).unwrap()).unwrap();
    assert_eq!(admitted(&marks, &renewed, 3, later).unwrap().trust_version, 2);
}
