//! A registry's content as plain files. The agent keeps its images in the same form.
//!
//! ```text
//! blobs/sha256/ab/ab12…             content, manifests too, once for all repositories
//! repositories/team/app/_blobs/HEX       this blob may be had in this repository
//!                      /_manifests/HEX   the media type of this manifest
//!                      /_tags/TAG        the digest that the tag names
//!                      /_referrers/SUBJECT/HEX
//! uploads/ID/{data,repository}      uploads under way
//! temporary/                        files being written; emptied at the start
//! ```
//!
//! A file appears under its name whole and synced, or not at all. No name that a request brings
//! becomes a path unless it was parsed: a repository's components never begin with `_`.

mod durable;
mod error;
mod folder;
mod manifests;
mod page;
mod repository;
mod uploads;

pub use error::StorageError;
pub use folder::Folder;
pub use manifests::ReferrersPage;
pub use uploads::{Upload, UploadId};
