//! A full disk under a node: rollback state in memory and on disk stay the same.
