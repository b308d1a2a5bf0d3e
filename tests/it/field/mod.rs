//! Cases that people met with other programs: what they have is read, and what cannot be is named in their words.

mod proxies;
mod registry_authorities;
mod registry_manners;
mod result_output;
