//! Log lines under a flood, and audit lines of security events.
