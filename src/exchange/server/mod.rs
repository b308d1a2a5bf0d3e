//! Serves the exchange API.
