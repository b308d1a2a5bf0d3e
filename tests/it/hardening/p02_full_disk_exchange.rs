//! A full disk under the exchange: it answers 507, recovers by itself, and says so.
