//! What people really have: images, registries and files as public reports describe them.

mod image_choice;
mod image_files;
mod windows_images;
