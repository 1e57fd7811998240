//! What Kubernetes itself accepts, release by release: facts that a profile is checked against, so that a mistake is
//! found at build time and not by a kubelet that does not start.
//!
//! Knows nobody: JSON values and minor versions in, the first misfit out.

mod duration;
pub mod feature_gates;
pub mod kube_proxy_config;
pub mod kubelet_config;
pub mod kubelet_flags;
mod kubelet_policies;
mod kubelet_rules;
mod kubelet_values;
mod quantity;
pub mod runtimes;
mod schema;
pub mod yaml;

pub use duration::{Duration, duration};
pub use quantity::{Quantity, quantity};
pub use schema::{Field, Misfit, NEWEST, Step, Type};
