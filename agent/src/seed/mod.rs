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
