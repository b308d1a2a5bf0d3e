//! Speaks to an exchange.
