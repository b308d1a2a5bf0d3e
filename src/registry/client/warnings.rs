//! The warnings that registries send (`Warning: 299 - "text"`, distribution-spec, "Warnings"), each logged once.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use reqwest::header::{HeaderMap, WARNING};

use super::http::words;
use crate::types::Registry;

/// The most different warnings that are logged.
const MOST: usize = 32;

/// The warnings that were logged. A clone shares them, so that several clients log each once.
#[derive(Debug, Clone, Default)]
pub struct Warnings(Arc<Mutex<BTreeSet<(Registry, String)>>>);

impl Warnings {
    /// Logs the warnings of an answer that are new.
    pub(super) fn note(&self, registry: &Registry, headers: &HeaderMap) {
        for value in headers.get_all(WARNING) {
            let Some(warning) = text_of(&String::from_utf8_lossy(value.as_bytes())) else {
                continue;
            };
            if self.is_new(registry, &warning) {
                tracing::warn!(event = "registry.warning", %registry, warning, "the registry sends a warning");
            }
        }
    }

    fn is_new(&self, registry: &Registry, warning: &str) -> bool {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.len() < MOST && noted.insert((registry.clone(), warning.to_owned()))
    }
}

/// The text of a warning with the code 299, which the specification gives to registries; caches write others.
fn text_of(value: &str) -> Option<String> {
    let rest = value.trim().strip_prefix("299 ")?;
    let quoted = rest.split_once('"').map(|(_, quoted)| quoted)?;
    let text = quoted.rsplit_once('"').map_or(quoted, |(text, _)| text);
    let text = words(&text.replace("\\\"", "\""));
    (!text.trim().is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_registry_says_to_its_users_is_taken_and_once() {
        assert_eq!(text_of(r#"299 - "it \"ends\" soon""#).as_deref(), Some(r#"it "ends" soon"#));
        assert_eq!(text_of("299 - \"\u{1b}[2J\"").as_deref(), Some("[2J"));
        for other in ["110 - \"stale\"", "299", "299 - \"\"", ""] {
            assert_eq!(text_of(other), None, "{other}");
        }
        let (warnings, registry) = (Warnings::default(), "r.example".parse().unwrap());
        assert!(warnings.is_new(&registry, "a") && !warnings.clone().is_new(&registry, "a"));
        for number in 0..100 {
            warnings.is_new(&registry, &number.to_string());
        }
        assert!(!warnings.is_new(&registry, "one more"));
    }
}
