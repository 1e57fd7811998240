//! Inputs of the lock, opened: what is in a package or an archive, and where its bytes are.
//!
//! Every input is read once. What it holds is remembered as an [`Index`] (metadata, digests, small
//! configuration files) and a *content file* (the bytes of its regular files, one after another), both in the
//! cache under the input's digest. A later build reads the index only; contents are read when an image frame has
//! to be made again.

mod archive;
mod compression;
mod deb;
mod index;
mod ingest;
pub mod layer;
mod store;

pub use archive::{ArchiveError, read_archive};
pub use compression::{Compression, decompress};
pub use deb::{DebError, DebFile};
pub use index::{Index, Member, MemberKind};
pub use ingest::{Input, InputFormat, PackError, Packer};
pub use store::{CopyError, Pack, Store};
