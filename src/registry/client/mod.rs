//! Pushes to and pulls from a registry.
