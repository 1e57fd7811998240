//! Where bytes come from: the network, local files, and the cache that keeps them.
//!
//! Nothing leaves this room unverified: a caller gets the path of a file in the [`cache`] whose SHA-256 was checked.

pub mod cache;
pub mod fetch;
pub mod http;
