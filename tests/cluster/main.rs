//! kiln-agent against a real control plane of Kubernetes 1.20.2.

mod agent;
mod boots;
mod control_plane;
mod cuts;
mod delivery;
mod herd;
mod joins;
mod refusals;
mod sources;

#[path = "../common/worker.rs"]
mod worker;
