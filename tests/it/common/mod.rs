//! Code shared by several subjects.

pub(crate) mod guest;
pub(crate) mod state_disk;
pub(crate) mod worker;
