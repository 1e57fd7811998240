//! Bakes immutable Kubernetes node images.
//!
//! Data flows one way, see `docs/architecture.md`:
//! profile → lock → fetch → tree → formats → artifacts → manifest → verify.

pub mod artifact;
pub mod bake;
pub mod boot;
pub mod cli;
pub mod diff;
pub mod finalize;
pub mod format;
pub mod image;
pub mod import;
pub mod kubernetes;
pub mod layer;
pub mod lock;
pub mod manifest;
pub mod oci;
pub mod output;
pub mod pack;
pub mod profile;
pub mod progress;
pub mod render;
pub mod source;
pub mod tree;
pub mod verify;
pub mod yaml;
