//! The OCI distribution protocol, both ends.

pub mod client;
pub mod protocol;
pub mod server;
