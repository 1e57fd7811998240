//! Releases as upstream publishes them: files of dl.k8s.io and GitHub with their sha256, here served by this host.

mod archives;
mod bench;
mod golden;
#[path = "../common/guest.rs"]
mod guest;
mod hub;
mod real;
mod release;
#[path = "../http/server.rs"]
#[expect(dead_code, reason = "other tests serve over TLS")]
mod server;
mod shipped;
#[path = "../image/tools.rs"]
mod tools;
#[path = "../common/worker.rs"]
mod worker;
