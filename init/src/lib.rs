//! What the builder and the `/init` of a network-booted node must agree on.

pub mod xattrs;
