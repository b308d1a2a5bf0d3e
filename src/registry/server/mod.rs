//! A registry on a folder of plain files.

pub mod storage;
