//! Constraints that cannot be parsed end nothing for other services.
