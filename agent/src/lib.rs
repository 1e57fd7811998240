//! First boot of a node: from a [`seed`] to a kubelet with its own client certificate.
//!
//! The builder uses the seed and the names; the rest (feature `node`) runs on nodes. docs/agent.md tells what happens when.

pub mod names;
pub mod seed;
pub mod url;
pub mod yaml;

#[cfg(feature = "node")]
pub mod api;
#[cfg(feature = "node")]
pub mod csr;
#[cfg(feature = "node")]
pub mod discovery;
#[cfg(feature = "node")]
pub mod net;
#[cfg(feature = "node")]
pub mod pki;
