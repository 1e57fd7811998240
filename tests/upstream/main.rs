//! Releases as upstream publishes them: files of dl.k8s.io and GitHub with their sha256, here served by this host.

mod archives;
mod bench;
#[path = "../debian_root/mod.rs"]
mod debian_root;
mod golden;
#[path = "../common/guest.rs"]
mod guest;
mod hub;
mod programs;
mod real;
mod refused;
mod release;
#[path = "../http/server.rs"]
#[expect(dead_code, reason = "other tests serve over TLS")]
mod server;
mod shipped;
#[path = "../image/tools.rs"]
mod tools;
#[path = "../common/worker.rs"]
mod worker;
