//! Attacks and bad days found by a review of the running program: one file for each numbered fault.
//!
//! Every test here failed before its fault was mended. A test that measures calls [`record_bound`], and
//! `tests/run` prints all rows as one table: attack, bound, figure.

mod p00_peers;
mod p01_full_disk_node;
mod p02_full_disk_exchange;
mod p03_clock_ahead;
mod p04_reload;
mod p05_private_files;
mod p06_pull_credential_rights;
mod p07_unreadable_constraint;
mod p08_sandbox;
mod p09_accounts;
mod p10_local_exposure;
mod p11_ownership_races;
mod p12_list_bounds;
mod p13_connection_bounds;
mod p14_slow_bodies;
mod p15_login_floods;
mod p16_work_per_request;
mod p17_log_bounds;
mod p18_all_at_once;
mod server_process;
mod wire;

use std::{fmt::Display, fs::OpenOptions, io::Write as _};

/// Adds a row to the table of bounds: which attack ran, which bound has to hold, which figure was measured.
///
/// The row is appended to the file that `EDGEPOST_TEST_BOUNDS` names, and printed to stderr.
pub fn record_bound(point: u8, attack: &str, bound: impl Display, figure: impl Display) {
    let row = format!("{point:02} | {attack} | {bound} | {figure}\n");
    eprint!("{row}");
    let Some(path) = std::env::var_os("EDGEPOST_TEST_BOUNDS") else { return };
    let mut file =
        OpenOptions::new().create(true).append(true).open(path).expect("the table can be opened");
    // One write per row: tests run side by side.
    file.write_all(row.as_bytes()).expect("the table can be written");
}
