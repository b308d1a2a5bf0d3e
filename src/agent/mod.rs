//! The node: verifies, pulls and runs what it should.

pub mod plan;
pub mod runtime;
