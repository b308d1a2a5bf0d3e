//! The node: verifies, pulls and runs what it should.
