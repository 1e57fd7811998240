//! The `kiln` command as a library: the command line, the build line and the virtual machines that
//! boot its outputs.
//!
//! They are built on the crates below `crates/`; see `docs/architecture.md`.

pub mod boot;
pub mod build;
pub mod cli;
