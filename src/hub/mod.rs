//! Exchange and registry in one process.
