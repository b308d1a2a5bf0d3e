//! What is shipped: an image, and a file for each place it can be.
