//! The seed: the few values that differ between nodes of one image. One document, `kind: NodeSeed`,
//! in YAML or JSON.
//!
//! This is the only definition of a seed: the agent reads seeds, the builder writes and checks
//! them.

mod decode;
mod fields;
mod files;
mod model;
mod pin;
mod token;

pub use decode::{MAX_SIZE, SeedError};
pub use files::leave_out_files;
pub use model::{Discovery, File, Kubelet, ProxySettings, Seed, Taint};
pub use pin::{Pin, PinError};
pub use token::{Token, TokenError};

/// The names of the sources of seeds, for profiles (`seed.sources`).
pub const SOURCES: [&str; 5] = [CMDLINE, CREDENTIAL, NOCLOUD, CONFIG_DRIVE, USER_DATA];
/// `kiln.seed=` on the kernel command line.
pub const CMDLINE: &str = "cmdline";
/// The systemd credential `kiln.seed`.
pub const CREDENTIAL: &str = "credential";
/// A NoCloud volume.
pub const NOCLOUD: &str = "nocloud";
/// An OpenStack config drive.
pub const CONFIG_DRIVE: &str = "config-drive";
/// User data of a cloud's metadata service.
pub const USER_DATA: &str = "user-data";
