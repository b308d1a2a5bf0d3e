//! Situations that people have reported in public, or that are in their repositories.

mod documents;
mod key_files;
mod pull_logins;
