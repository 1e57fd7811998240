//! The first program on a node, and the formats that it shares with the builder.
//!
//! Everything that reads untrusted bytes is here, so that it can be tested and fuzzed on any
//! machine; what works only as the first process is in the binary.

pub mod choice;
pub mod cmdline;
pub mod efi;
pub mod ext4;
pub mod gpt;
pub mod list;
pub mod modules;
pub mod place;
pub mod state_name;
pub mod verity;
pub mod xattrs;

/// The minimum size of a node's state in bytes: the value for systemd-repart, and the space that a
/// disk needs after the image.
pub const STATE_MIN_BYTES: u64 = 1 << 30;
