//! SIGHUP and changed certificate files: the servers reload and keep serving.
