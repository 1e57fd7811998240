//! Imports existing nodes, and compares them with a real kubelet and kubeadm 1.20.2: `/configz` is
//! the same before and after, except for the fields that the report lists as different.

mod booted;
use crate::common::guest;
mod imported;
use kiln_testing::judge;
mod nodes;
mod proxies;
use crate::common::worker;
