//! Edgepost posts container services to edge nodes: a developer publishes a signed service, nodes
//! verify it, pull it by digest and run it.
//!
//! ```text
//!  L5  cli · hub
//!  L4  publish · agent · exchange::server
//!  L3  exchange::client · exchange::store
//!  L2  trust · registry::{protocol, client, server} · exchange::api
//!  L1  sign · document · image · listener
//!  L0  types
//! ```
//!
//! A module imports only from layers below it; `ARCHITECTURE.md` says why, and a test keeps it so.

pub mod agent;
pub mod cli;
pub mod document;
pub mod exchange;
pub mod hub;
pub mod image;
pub mod listener;
pub mod publish;
pub mod registry;
pub mod sign;
pub mod trust;
pub mod types;
