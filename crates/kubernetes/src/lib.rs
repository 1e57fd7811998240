//! What Kubernetes itself accepts, release by release: facts that a profile is checked against, so that a mistake is
//! found at build time and not by a kubelet that does not start.
//!
//! JSON values and releases in, the first misfit out.

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

pub use duration::{Duration, duration};
pub use quantity::{Quantity, quantity};
pub use release::{DROP_INS_SINCE, Minor, NEWEST, NO_CLOUD_PROVIDERS_SINCE, Skew, Version};
pub use schema::{Field, Misfit, Step, Type};
