//! Slow readers and slow writers are cut off by a least rate.
