//! Keeps what the exchange knows.
