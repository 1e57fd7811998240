//! Debian archives: the choice of archives, their signed indexes, and their packages.

pub mod apt_conf;
pub mod apt_sources;
pub mod cleartext;
pub mod control;
pub mod dependency;
pub mod index;
pub mod keyring;
pub mod package;
pub mod packages;
pub mod release;
pub mod repository;
pub mod resolver;
pub mod signature;
pub mod transport;
pub mod unpack;
pub mod version;
