//! Boots nodes from PXE sets as built, and inspects them from inside the guest. The images contain
//! nothing for these tests: a credential makes kubelet standalone and delivers `probe.sh`.

pub(crate) mod capability;
mod cri;
mod pods;
mod roles;

use crate::common::guest;
use crate::common::worker;
