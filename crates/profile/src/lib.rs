//! Profiles: YAML files → merged (`extends`) → validated [`Profile`].
//!
//! [`load`] reads a role's file and its parents into trees with the position of every value
//! (`node`), decodes each into the types of `raw` to find unknown keys and wrong types, merges the
//! trees (`merge`), and checks every value of the result (`check`). Other crates see only
//! [`Profile`].

mod asked;
mod at;
mod authority;
mod check;
mod cluster;
mod de;
mod error;
pub mod import;
mod json;
mod key;
pub mod kubelet;
mod load;
mod located;
mod merge;
mod model;
mod node;
mod output;
mod place;
mod places;
mod raw;
mod reach;
mod schema;

use kiln_suggest as suggest;

pub use asked::AboutProfile;
pub use cluster::{Cluster, PodCidr};
pub use error::ProfileError;
pub use key::{Field, Key, fields};
pub use load::{Overrides, load, roles};
pub use located::{Located, NotLocated};
pub use model::*;
pub use output::{Holds, Output, RootFormat};
pub use place::Place;
pub use places::Places;
pub use schema::{cluster_schema, release_schema, schema};
