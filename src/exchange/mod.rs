//! Who runs what: the post office of documents.

pub mod api;
pub mod client;
pub mod server;
pub mod store;

#[cfg(test)]
mod tests;
