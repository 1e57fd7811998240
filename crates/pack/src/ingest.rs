//! Reads the inputs of a build, each once and in parallel.

use super::archive::{ArchiveError, read_archive};
use super::compression::decompress;
use super::deb::{DebError, DebFile};
use super::index::Index;
use super::store::{Pack, Store};
use kiln_cache::{Cache, CacheError};
use kiln_tree::Digest;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::PathBuf;
use std::sync::Mutex;

/// Increment it when the [`Index`] of the same input would change.
const INDEX_VERSION: u32 = 1;
/// Inputs of at least this size are decoded by several threads each, and only [`LARGE_READERS`] at
/// a time, because every xz block in flight takes 24 MiB. Smaller inputs are decoded by one thread
/// each. So memory depends neither on inputs nor on cores.
const LARGE: u64 = 6 << 20;
/// The number of large inputs read at the same time.
const LARGE_READERS: usize = 2;
/// The number of small inputs read at the same time: an xz decoder holds 10 MiB.
const SMALL_READERS: usize = 6;

/// A fetched and verified input.
#[derive(Debug, Clone)]
pub struct Input {
    /// Its name in messages: `bash 5.2.37-2`, `kubelet 1.36.4`.
    pub name: String,
    /// Digest of the file.
    pub digest: Digest,
    /// Its file in the cache.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Its format.
    pub format: InputFormat,
}

/// The format of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputFormat {
    /// A Debian package.
    Deb,
    /// A tar archive, compressed or not.
    Tar,
    /// The file itself.
    Raw,
}

/// What to do about an input that has its digest and cannot be read.
const BROKEN: &str = "; its sha256 is correct, so it is broken at its source: use another version of it";

/// Why an input could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// It is not a package.
    #[error("reading {name} ({path}): {source}{BROKEN}")]
    Deb {
        /// The name of the input.
        name: String,
        /// Its path.
        path: PathBuf,
        /// The defect.
        source: DebError,
    },
    /// Its archive is broken or hostile.
    #[error("reading {name} ({path}): {source}{BROKEN}")]
    Archive {
        /// The input's name.
        name: String,
        /// Its path.
        path: PathBuf,
        /// The defect.
        source: ArchiveError,
    },
    /// The cache cannot be written or read.
    #[error("storing the contents of {name} in the cache: {source}")]
    Cache {
        /// The input's name.
        name: String,
        /// The cause.
        source: CacheError,
    },
    /// Its file in the cache cannot be read, or is another one.
    #[error("reading {name}: {source}")]
    Blob {
        /// The input's name.
        name: String,
        /// The cause.
        source: CacheError,
    },
    /// The stored contents cannot be opened again.
    #[error("opening the contents of {name}: {source}")]
    Open {
        /// The input's name.
        name: String,
        /// The cause.
        source: io::Error,
    },
}

/// Opens inputs through the cache.
#[derive(Debug)]
pub struct Packer<'a> {
    cache: &'a Cache,
    threads: usize,
    reads: &'a [&'a str],
}

impl<'a> Packer<'a> {
    /// A packer that uses up to `threads` threads. Indexes hold small files that `reads` names, or that
    /// are below a directory it names, so that reading them opens no other file.
    pub fn new(cache: &'a Cache, threads: usize, reads: &'a [&'a str]) -> Self {
        Self { cache, threads: threads.max(1), reads }
    }

    /// Opens all `inputs`; `done` is called with each input's size when it is ready.
    ///
    /// # Errors
    /// The first [`PackError`] in the order of `inputs`.
    pub fn open(&self, inputs: &[Input], done: &(dyn Fn(u64) + Sync)) -> Result<Store, PackError> {
        let mut order: Vec<usize> = (0..inputs.len()).collect();
        order.sort_by_key(|&index| std::cmp::Reverse(inputs[index].size));
        let split = order.partition_point(|&index| inputs[index].size >= LARGE);
        let large = Mutex::new(order[..split].iter());
        let small = Mutex::new(order[split..].iter());
        let results = Mutex::new(BTreeMap::new());
        let work = |queue: &Mutex<std::slice::Iter<'_, usize>>, threads: usize| {
            while let Some(&index) = queue.lock().ok().and_then(|mut queue| queue.next()) {
                let result = self.pack(&inputs[index], threads);
                let failed = result.is_err();
                if let Ok(mut results) = results.lock() {
                    results.insert(index, result);
                }
                if failed {
                    return;
                }
                done(inputs[index].size);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..self.threads.min(LARGE_READERS) {
                scope.spawn(|| work(&large, self.threads));
            }
            for _ in 0..self.threads.min(SMALL_READERS) {
                scope.spawn(|| work(&small, 1));
            }
        });
        let mut store = Store::new(self.cache.clone());
        let results = results.into_inner().unwrap_or_default();
        for (index, result) in results {
            store.insert(inputs[index].digest, result?);
        }
        Ok(store)
    }

    fn pack(&self, input: &Input, threads: usize) -> Result<Pack, PackError> {
        let cache_error = |source| PackError::Cache { name: input.name.clone(), source };
        let open_error = |source| PackError::Open { name: input.name.clone(), source };
        if input.format == InputFormat::Raw {
            return Pack::open(Index::of_file(input.size, input.digest), &input.path).map_err(open_error);
        }
        let Self { reads, .. } = self;
        let key = format!("{INDEX_VERSION} {reads:?} {:?} {}", input.format, input.digest);
        let key = Digest::of(key.as_bytes());
        if let Some(pack) = self.cached(&key) {
            return Ok(pack);
        }
        // Verified now, although it was when it was fetched: caches are copied and restored.
        let file = self
            .cache
            .open_blob(&input.digest)
            .map_err(|source| PackError::Blob { name: input.name.clone(), source })?;
        let mut content = self.cache.unsummed_writer("content", &key).map_err(cache_error)?;
        let index = read_input(input, file, threads, reads, &mut content).map_err(|error| self.judge(error))?;
        content.finish().map_err(cache_error)?;
        let bytes = postcard::to_stdvec(&index).map_err(|error| open_error(io::Error::other(error)))?;
        self.cache.put_derived("index", &key, &bytes).map_err(cache_error)?;
        let path = self.cache.derived_path("content", &key).map_err(cache_error)?;
        Pack::open(index, &path).map_err(open_error)
    }

    /// A full disk is a failure of the cache, not of the input.
    fn judge(&self, error: PackError) -> PackError {
        match error {
            PackError::Archive { name, source: ArchiveError::Store(source), .. } => {
                PackError::Cache { name, source: CacheError::writing(self.cache.root(), source) }
            }
            error => error,
        }
    }

    fn cached(&self, key: &Digest) -> Option<Pack> {
        // Its bytes are verified file by file when they are read.
        let content = self.cache.open_derived("content", key)?;
        let index: Index = postcard::from_bytes(&self.cache.derived("index", key)?).ok()?;
        Pack::open(index, &content.path).ok()
    }
}

fn read_input(
    input: &Input,
    file: File,
    threads: usize,
    reads: &[&str],
    content: &mut impl Write,
) -> Result<Index, PackError> {
    let (name, path) = (input.name.clone(), input.path.clone());
    let deb_error = |source| PackError::Deb { name: name.clone(), path: path.clone(), source };
    let archive_error = |source| PackError::Archive { name: name.clone(), path: path.clone(), source };
    let mut index = match input.format {
        InputFormat::Deb => {
            let mut deb = DebFile::new(file).map_err(deb_error)?;
            let control = deb.control().map_err(deb_error)?;
            let (data, _) = deb.data().map_err(|error| deb_error(error.into()))?;
            let mut index = read_tar(data, threads, reads, content).map_err(archive_error)?;
            index.control = control;
            index
        }
        InputFormat::Tar | InputFormat::Raw => read_tar(file, threads, reads, content).map_err(archive_error)?,
    };
    index.members.shrink_to_fit();
    Ok(index)
}

fn read_tar(
    file: impl io::Read + Send,
    threads: usize,
    reads: &[&str],
    content: &mut impl Write,
) -> Result<Index, ArchiveError> {
    let threads = u32::try_from(threads).unwrap_or(1);
    let tar = decompress(BufReader::with_capacity(256 << 10, file), threads).map_err(ArchiveError::Read)?;
    read_archive(tar, reads, content)
}
