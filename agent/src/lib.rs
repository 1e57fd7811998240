//! First boot of a node: from a [`seed`] to a kubelet with its own client certificate.
//!
//! The builder uses the seed, the paths, and what checks names, flags and addresses; the rest
//! (feature `node`) runs on nodes. docs/agent.md describes what happens when.

pub mod addresses;
#[cfg(feature = "node")]
pub mod api;
#[cfg(feature = "node")]
pub mod clock;
#[cfg(feature = "node")]
pub mod csr;
#[cfg(feature = "node")]
pub mod discovery;
pub mod flags;
#[cfg(feature = "node")]
pub mod install;
#[cfg(feature = "node")]
pub mod join;
#[cfg(feature = "node")]
pub mod kubelet_config;
pub mod names;
#[cfg(feature = "node")]
pub mod net;
pub mod paths;
#[cfg(feature = "node")]
pub mod pki;
#[cfg(feature = "node")]
pub mod pod_cidr;
#[cfg(feature = "node")]
pub mod root;
pub mod seed;
#[cfg(feature = "node")]
pub mod source;
#[cfg(feature = "node")]
pub mod status;
#[cfg(feature = "node")]
pub mod time;
pub mod url;
pub mod yaml;
