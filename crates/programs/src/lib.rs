//! The static programs of nodes that kiln embeds. build.rs builds them for this machine's
//! architecture, or uses the binaries that `KILN_INIT=path` and `KILN_AGENT=path` name.
//!
//! This is a separate crate, so that only a change of the programs builds them again.

/// `/init` of an initramfs: the program of the package `kiln-init`, an ELF file.
pub static INIT: &[u8] = include_bytes!(env!("KILN_INIT_PATH"));

/// The agent: the program of the package `kiln-agent`, an ELF file.
pub static AGENT: &[u8] = include_bytes!(env!("KILN_AGENT_PATH"));
