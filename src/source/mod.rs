//! Where bytes come from.
pub mod cache;
