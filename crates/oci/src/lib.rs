//! Container images as documents: references, indexes, manifests and configurations.
//!
//! Pure functions of bytes. Formats: the OCI image specification 1.1 and Docker's image manifest
//! version 2, schema 2. The grammar of references is that of the distribution project.

mod document;
mod layout;
mod reference;

pub use document::{
    Config, Descriptor, Document, DocumentError, ImageManifest, MAX_CONFIG, MAX_DOCUMENT, Platform, for_arch,
    media_type,
};
pub use layout::{ImageConfig, OCI_LAYOUT, index, manifest};
pub use reference::{Reference, ReferenceError};
