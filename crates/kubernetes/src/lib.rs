//! What each release of Kubernetes accepts. Profiles are checked against these tables, so that a
//! mistake is found at build time and not by a kubelet that does not start.
//!
//! The checks take JSON values and a release, and return the first [`Misfit`].

mod component_base;
mod duration;
pub mod feature_gates;
pub mod kube_proxy_config;
pub mod kubelet_config;
pub mod kubelet_flags;
mod lookup;
mod quantity;
mod release;
pub mod runtimes;
mod schema;
pub mod yaml;

pub use duration::{Duration, parse_duration};
pub use quantity::{Quantity, parse_quantity};
pub use release::{DROP_INS_SINCE, Minor, NEWEST, NO_CLOUD_PROVIDERS_SINCE, Skew, Version};
pub use schema::{Field, Misfit, Step, Type};
