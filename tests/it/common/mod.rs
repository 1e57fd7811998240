//! What several subjects share.

pub(crate) mod guest;
pub(crate) mod state_disk;
pub(crate) mod worker;
