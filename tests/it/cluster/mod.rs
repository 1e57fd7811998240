//! kiln-agent against a real control plane of Kubernetes 1.20.2.

mod agent;
mod boots;
mod channels;
mod clock;
mod control_plane;
mod cuts;
mod delivery;
mod forgery;
mod guests;
mod herd;
mod interruptions;
mod joins;
mod kubelet_config;
mod metadata;
mod network;
mod outage;
mod pod_cidr;
mod refusals;
mod requests;
mod secrets;
mod sources;
mod tls;

use crate::common::state_disk;
use crate::common::worker;
