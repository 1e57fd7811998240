//! What runs first on a node, and what the builder must agree on with it.
//!
//! Everything that reads foreign bytes is here, so that it can be tested and fuzzed on any machine; what only works as the
//! first process is in the binary.

pub mod cmdline;
pub mod ext4;
pub mod gpt;
pub mod list;
pub mod modules;
pub mod verity;
pub mod xattrs;

/// Least size of a node's state, in bytes: what systemd-repart is told, and what a disk must have behind the image.
pub const STATE_MIN_BYTES: u64 = 1 << 30;
