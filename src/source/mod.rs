//! Where bytes come from; the only code that uses the network.

pub mod deb;
