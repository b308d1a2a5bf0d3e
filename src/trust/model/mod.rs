//! Random histories, told to the code and to a model of it that is written from the rules alone: who is
//! believed, and how far a node has come, must be the same in both after every step.
//!
//! A model does not say in which order rules are asked, so that a refusal may bear the name of any that is broken.

mod chain;
mod dice;
mod marks;
mod world;

use std::{collections::BTreeSet, fmt::Debug};

use crate::trust::Refusal;

/// As many histories as are told where nobody asks for more; `EDGEPOST_TEST_HISTORIES` does. 100,000 take minutes
/// in a release build.
const HISTORIES: u64 = 1_000;

fn histories() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "whoever runs the tests chooses how long")]
    let asked = std::env::var("EDGEPOST_TEST_HISTORIES");
    asked.map_or(HISTORIES, |it| it.parse().unwrap())
}

/// What became of the steps of all histories.
#[derive(Debug, Default)]
struct Tally {
    accepted: u64,
    refused: u64,
    names: BTreeSet<&'static str>,
}

impl Tally {
    /// Holds one step against the model, by whose rules these are the reasons to refuse it.
    #[track_caller]
    fn hold<T>(
        &mut self,
        result: Result<T, Refusal>,
        reasons: &BTreeSet<&'static str>,
        step: &dyn Debug,
    ) -> Option<T> {
        match result {
            Ok(value) => {
                assert!(reasons.is_empty(), "accepted in spite of {reasons:?}: {step:#?}");
                self.accepted += 1;
                Some(value)
            }
            Err(refusal) => {
                let name = refusal.attack();
                assert!(reasons.contains(name), "{refusal} is none of {reasons:?}: {step:#?}");
                self.refused += 1;
                self.names.insert(name);
                None
            }
        }
    }

    /// Says how much was seen; every one of `names` must have been among it.
    fn close(&self, what: &str, histories: u64, names: &[&str]) {
        let (accepted, refused) = (self.accepted, self.refused);
        println!(
            "{histories} histories of {what}: {accepted} steps accepted, {refused} refused, 0 differences"
        );
        assert_eq!(self.names.iter().copied().collect::<Vec<_>>(), names);
        assert!(accepted > histories && refused > histories, "hardly anything has happened");
    }
}
