//! What people really have: images, registries, proxies and files as public reports describe them. What they have is read, and what
//! cannot be is named in their words.

mod documents;
mod image_choice;
mod image_files;
mod key_files;
mod proxies;
mod pull_logins;
mod registry_authorities;
mod registry_manners;
mod result_output;
mod windows_images;
