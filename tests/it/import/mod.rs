//! What people have through `kiln import`, judged by a real kubelet and a real kubeadm, 1.20.2: the
//! same `/configz` before and after, but for what the report says differs.

mod booted;
use crate::common::guest;
mod imported;
use kiln_testing::judge;
mod nodes;
mod proxies;
use crate::common::worker;
