//! What is said: services, deployments, patterns and policies.
