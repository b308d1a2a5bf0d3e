//! How a statement is signed: keys, envelopes, and other people's signatures.
