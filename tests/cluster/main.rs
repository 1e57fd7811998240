//! kiln-agent against a real control plane of Kubernetes 1.20.2.

mod agent;
mod boots;
mod clock;
mod control_plane;
mod cuts;
mod delivery;
mod forgery;
mod herd;
mod interruptions;
mod joins;
mod network;
mod outage;
mod refusals;
mod requests;
mod secrets;
mod sources;
mod tls;

#[path = "../common/worker.rs"]
mod worker;
