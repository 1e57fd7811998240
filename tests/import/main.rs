//! What people have through `kiln import`, judged by a real kubelet and a real kubeadm, 1.20.2: the same `/configz` before and after, but
//! for what the report says differs.

mod booted;
#[path = "../common/guest.rs"]
#[expect(dead_code, reason = "other tests boot without questions of their own")]
mod guest;
mod imported;
#[path = "../common/judge.rs"]
mod judge;
mod nodes;
mod proxies;
#[path = "../common/responder.rs"]
mod responder;
#[path = "../common/worker.rs"]
#[expect(dead_code, reason = "other tests build the worker")]
mod worker;
