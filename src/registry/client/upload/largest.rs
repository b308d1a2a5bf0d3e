//! How much goes in one request: everything, unless somebody on the way refuses that.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{registry::client::tls::Endpoint, types::Registry};

/// Where to begin once a whole blob was too large, in bytes; some proxies in front of registries
/// allow 100 MB.
const FIRST: u64 = 64 * 1024 * 1024;
/// Below this it is not the length that is refused, in bytes.
const LEAST: u64 = 256 * 1024;

/// The longest part of a blob that goes in one request, by registry; clones share what they learn.
#[derive(Debug, Clone, Default)]
pub(in crate::registry::client) struct Largest {
    wanted: Option<u64>,
    learned: Arc<Mutex<HashMap<Registry, u64>>>,
}

impl Largest {
    /// Never more than `wanted` bytes, if that is given.
    pub(in crate::registry::client) fn new(wanted: Option<u64>) -> Self {
        Self { wanted: wanted.map(|wanted| wanted.max(1)), learned: Arc::default() }
    }

    /// How much goes in one request to a registry that wants at least `least` bytes; none: all.
    pub(super) fn of(&self, endpoint: &Endpoint, least: u64) -> Option<u64> {
        let learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        let learned = learned.get(&endpoint.registry).copied();
        let largest = self.wanted.into_iter().chain(learned).min()?;
        Some(largest.max(least))
    }

    /// Learns that `length` bytes were too large; `false` if less makes no sense, or is less than
    /// the registry takes.
    pub(super) fn shrink(&self, endpoint: &Endpoint, length: u64, least: u64) -> bool {
        let smaller = (length / 2).min(FIRST);
        if smaller < LEAST.max(least) {
            return false;
        }
        // A round number, since limits are.
        let smaller =
            if smaller.is_power_of_two() { smaller } else { smaller.next_power_of_two() / 2 };
        tracing::info!(registry = %endpoint.registry, length, smaller, "too large for one request");
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        let known = learned.entry(endpoint.registry.clone()).or_insert(smaller);
        *known = smaller.min(*known);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Endpoint {
        let registry: Registry = "r.example:5000".parse().unwrap();
        Endpoint { registry, base: "https://r.example:5000/".parse().unwrap() }
    }

    #[test]
    fn what_is_too_large_is_halved_down_to_a_minimum_and_remembered() {
        let (largest, endpoint) = (Largest::new(None), endpoint());
        assert_eq!(largest.of(&endpoint, 0), None);
        let mut length = 963_000_000;
        let mut tried = Vec::new();
        while largest.shrink(&endpoint, length, 0) {
            length = largest.of(&endpoint, 0).unwrap();
            tried.push(length >> 10);
        }
        assert_eq!(tried, [65536, 32768, 16384, 8192, 4096, 2048, 1024, 512, 256]);
        assert_eq!(largest.clone().of(&endpoint, 0), Some(LEAST));
        assert_eq!(largest.of(&endpoint, 5 << 20), Some(5 << 20), "the registry wants more");
        assert!(!largest.shrink(&endpoint, 5 << 20, 5 << 20));
    }

    #[test]
    fn a_wanted_limit_holds_besides_a_learned_one() {
        let (largest, endpoint) = (Largest::new(Some(10 << 20)), endpoint());
        assert_eq!(largest.of(&endpoint, 0), Some(10 << 20));
        assert!(largest.shrink(&endpoint, 10 << 20, 0));
        assert_eq!(largest.of(&endpoint, 0), Some(4 << 20));
    }
}
