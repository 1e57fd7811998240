//! What several subjects share.

pub mod guest;
pub mod state_disk;
pub mod worker;
