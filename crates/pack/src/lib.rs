//! Opens the inputs of the lock: the contents of a package or an archive and the location of their
//! bytes.
//!
//! Every input is read once. kiln stores its contents as an [`Index`] (metadata, digests, small
//! configuration files) and a *content file* (the bytes of its regular files, one after another),
//! both in the cache under the input's digest. A later build reads only the index; contents are
//! read when a frame of the image must be made again.

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
