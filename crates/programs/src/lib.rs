//! The static programs of nodes that kiln carries; build.rs builds them for this machine's architecture, or takes those that
//! `KILN_INIT=path` and `KILN_AGENT=path` name.
//!
//! A crate of its own, so that nothing but a change of theirs builds them again.

/// `/init` of an initramfs: the program of the package `kiln-init`, an ELF file.
pub static INIT: &[u8] = include_bytes!(env!("KILN_INIT_PATH"));

/// The agent: the program of the package `kiln-agent`, an ELF file.
pub static AGENT: &[u8] = include_bytes!(env!("KILN_AGENT_PATH"));
