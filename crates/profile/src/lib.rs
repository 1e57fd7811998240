//! Profiles: YAML files → merged (`extends`) → validated [`Profile`].
//!
//! [`load`] reads a role's file and its parents into trees that know where every value was written (`node`),
//! decodes each into the types of `raw` to find unknown keys and wrong types, merges the trees (`merge`),
//! and checks every value of the result (`check`). Downstream sees only [`Profile`].

mod at;
mod authority;
mod check;
mod cluster;
mod de;
mod error;
pub mod import;
mod json;
pub mod kubelet;
mod load;
mod located;
mod merge;
mod model;
mod node;
mod place;
mod raw;
mod schema;

pub(crate) use authority::of as rule_of;
use kiln_suggest as suggest;

pub use cluster::{Cluster, PodCidr};
pub use error::ProfileError;
pub use load::{Overrides, load, roles};
pub use located::{Located, NotLocated};
pub use model::*;
pub use place::Place;
pub use schema::{cluster_schema, release_schema, schema};
