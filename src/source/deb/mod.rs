//! Debian archives: which are used, what their signed indexes say, and the packages in them.

pub mod cleartext;
pub mod control;
pub mod keyring;
pub mod release;
pub mod signature;
