//! Profiles: raw YAML → merged (`extends`) → validated [`Profile`].

mod model;

pub use model::*;
