//! Stories, told against real parts.

// Stories await whole publishes and agents, whose futures lie deeper in each other than the default allows.
#![recursion_limit = "256"]
#![expect(clippy::disallowed_methods, reason = "tests make files and read their environment")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says by a panic that its claim is false"
)]
#![expect(clippy::print_stderr, reason = "a story that is skipped says so")]
#![expect(unreachable_pub, reason = "the support modules read as a small library")]

mod attacks;
mod bad_days;
mod bad_input;
mod bundles;
mod check;
mod clocks;
mod clouds;
mod cluster;
mod conformance;
mod containers;
mod copy;
mod cosign;
mod credentials;
mod demo;
mod documentation;
mod documents;
mod engines;
mod field;
mod fleet;
mod hardening;
mod horizon;
mod horizon_data;
mod horizon_policies;
mod horizon_signatures;
mod hostile;
mod imports;
mod keys;
mod layers;
mod leftovers;
mod lies;
mod malformed;
mod new;
mod node;
mod node_policy;
mod node_states;
mod one_truth;
mod peers;
mod publishing;
mod reading;
mod registries;
mod rekey;
mod schemas;
mod secrets;
mod servers;
mod service_policy;
mod standards;
mod substitution;
mod support;
mod transfers;
mod trust_ceremony;
mod trust_drafts;
mod versions;
