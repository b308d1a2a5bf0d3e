//! A registry on a folder of plain files.
