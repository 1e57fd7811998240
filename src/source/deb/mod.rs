//! Debian archives: which are used, what their signed indexes say, and the packages in them.

pub mod control;
pub mod dependency;
pub mod index;
pub mod package;
pub mod packages;
pub mod resolver;
pub mod version;
