//! Boots nodes for PXE as they are built and reads from inside the guest what they are.
//!
//! Nothing is in the images for it: kubelet is made standalone, and `probe.sh` brought in, by a credential.

pub(crate) mod capability;
mod cri;
mod pods;
mod roles;

use crate::common::guest;
use crate::common::worker;
