//! Peers that this machine cannot run, and alerts of TLS at any moment.
