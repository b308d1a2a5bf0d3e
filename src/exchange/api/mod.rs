//! The wire contract of the exchange, used by both ends.
