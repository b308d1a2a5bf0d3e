//! Everything that leaves the default container sandbox needs the node owner's permission.
