//! Fetches bytes; the only code that uses the network.

pub mod deb;
pub mod fetch;
pub mod http;
pub mod registry;
