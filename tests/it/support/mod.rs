//! The words that stories are told in.

pub mod authority;
pub mod cloud;
pub mod disk;
pub mod enemy;
pub mod exchange;
pub mod fake_registry;
pub mod hub;
pub mod image;
pub mod issuer;
pub mod liar;
pub mod link;
pub mod node;
pub mod peers;
pub mod podman;
pub mod program;
pub mod proxy;
pub mod publisher;
pub mod ssh;
pub mod thief;
pub mod web;
