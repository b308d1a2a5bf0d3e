//! What standards and other people's test vectors say about the cryptography we use, each held against the code
//! that uses it, or, where that does more at once, against the very crate it uses. All verdicts are written down:
//! a new version of a crate that judges otherwise fails.

mod ed25519;
mod sealing;
