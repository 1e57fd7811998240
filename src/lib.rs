//! Bakes immutable Kubernetes node images.
//!
//! Data flows one way, see `docs/architecture.md`:
//! profile → lock → fetch → tree → formats → artifacts → manifest → verify.

pub mod artifact;
pub mod boot;
pub mod finalize;
pub mod format;
pub mod pack;
pub mod profile;
pub mod progress;
pub mod render;
pub mod source;
pub mod tree;
