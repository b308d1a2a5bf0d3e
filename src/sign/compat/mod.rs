//! Signatures that other people's software checks: Horizon's over a deployment, cosign's over an image.
//! Our own nodes rely on neither.

pub mod cosign;
pub mod horizon;
