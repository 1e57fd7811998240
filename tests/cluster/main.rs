//! kiln-agent against a real control plane of Kubernetes 1.20.2.

mod agent;
mod boots;
mod channels;
mod control_plane;
mod cuts;
mod delivery;
mod guests;
mod herd;
mod joins;
mod metadata;
mod refusals;
mod sources;

#[path = "../common/state_disk.rs"]
mod state_disk;
#[path = "../common/worker.rs"]
#[expect(dead_code, reason = "other tests build the worker in other ways")]
mod worker;
