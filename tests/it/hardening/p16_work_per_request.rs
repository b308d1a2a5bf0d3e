//! The work of one request is bounded.
