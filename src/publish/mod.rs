//! The developer's verb: publish a service.
