//! Gives access to the contents of all inputs.

use super::index::{Index, MemberKind};
use kiln_cache::{Cache, DerivedFile};
use kiln_tree::{Content, ContentReader, ContentSource, Digest, PackRef, ReadError};
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The number of bytes read at a time.
const CHUNK: usize = 256 << 10;

/// One opened input.
#[derive(Debug, Clone)]
pub struct Pack {
    /// Its index.
    pub index: Arc<Index>,
    content: Arc<File>,
    content_path: PathBuf,
}

/// All opened inputs by digest.
#[derive(Debug, Default)]
pub struct Store {
    packs: BTreeMap<Digest, Pack>,
    /// The paths of the packs' contents, to remove damaged ones.
    cache: Option<Cache>,
}

impl Pack {
    /// Opens an input whose regular files are stored one after another in the file `content`.
    ///
    /// # Errors
    /// When that file cannot be opened or is shorter than the index says.
    pub(super) fn open(index: Index, content: &Path) -> io::Result<Self> {
        let file = kiln_file::open(content)?;
        let end = index.members.iter().map(|member| match member.kind {
            MemberKind::File { offset, size, .. } => offset + size,
            _ => 0,
        });
        if file.metadata()?.len() < end.max().unwrap_or(0) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Self { index: Arc::new(index), content: Arc::new(file), content_path: content.to_owned() })
    }

    /// The content of member number `member` of this input, if it is a file; hard links are
    /// followed.
    pub fn content(&self, input: Digest, member: u32) -> Option<Content> {
        let at = |number: u32| self.index.members.get(usize::try_from(number).ok()?);
        let (number, found) = match at(member)?.kind {
            MemberKind::Hardlink(first) => (first, at(first)?),
            _ => (member, at(member)?),
        };
        match &found.kind {
            MemberKind::File { inline: Some(bytes), digest, size, .. } => {
                Some(Content { size: *size, digest: *digest, source: ContentSource::Inline(bytes.as_slice().into()) })
            }
            MemberKind::File { size, digest, .. } => Some(Content {
                size: *size,
                digest: *digest,
                source: ContentSource::Pack(PackRef { input, member: number }),
            }),
            _ => None,
        }
    }
}

impl Store {
    /// An empty store of inputs in `cache`.
    pub(super) fn new(cache: Cache) -> Self {
        Self { packs: BTreeMap::new(), cache: Some(cache) }
    }

    pub(super) fn insert(&mut self, input: Digest, pack: Pack) {
        self.packs.insert(input, pack);
    }

    /// Adds a derived file of the cache. It is then read as the only member of an input with the
    /// file's digest.
    ///
    /// # Errors
    /// When it can no longer be opened.
    pub fn add_derived(&mut self, derived: &DerivedFile) -> io::Result<Content> {
        let (size, digest) = (derived.len, derived.digest);
        let pack = Pack::open(Index::of_file(size, digest), &derived.path)?;
        self.insert(digest, pack);
        Ok(Content { size, digest, source: ContentSource::Pack(PackRef { input: digest, member: 0 }) })
    }

    /// The input with this digest.
    pub fn pack(&self, input: &Digest) -> Option<&Pack> {
        self.packs.get(input)
    }

    /// Copies `content` to `out` and verifies its digest while copying.
    ///
    /// # Errors
    /// [`CopyError`]; it distinguishes reading from writing, so that a full disk is not reported as
    /// a damaged cache.
    pub fn copy(&self, content: &Content, out: &mut dyn Write) -> Result<(), CopyError> {
        self.transfer(content, out, true)
    }

    /// Copies `content`, which [`Store::copy`] has already verified in this build, to `out`. Bytes
    /// from the cache are not hashed again. For copies that are verified by other means.
    ///
    /// # Errors
    /// [`CopyError`].
    pub fn copy_again(&self, content: &Content, out: &mut dyn Write) -> Result<(), CopyError> {
        self.transfer(content, out, false)
    }

    /// Copies `content`; `checked` applies only to contents in the cache, because files elsewhere
    /// may change.
    fn transfer(&self, content: &Content, out: &mut dyn Write, checked: bool) -> Result<(), CopyError> {
        match &content.source {
            ContentSource::Inline(bytes) => out.write_all(bytes).map_err(CopyError::Write),
            ContentSource::Host(path) => {
                let what = || path.display().to_string();
                let file = kiln_file::open(path.as_path()).map_err(|error| read_error(&what(), &error))?;
                let changed = "it changed while the image was being built; build again";
                copy(content, &mut &file, out, Some(Sha256::new()), &what(), changed)
            }
            ContentSource::Pack(pack) => {
                let (file, offset, path) = self.locate(pack).ok_or_else(|| ReadError {
                    what: format!("member {} of input {}", pack.member, pack.input),
                    why: "it is not among this build's inputs".into(),
                })?;
                let mut reader = ReadAt { file, offset };
                let damaged = "the cache is damaged; \"kiln cache trim --all\" empties it";
                let hasher = checked.then(Sha256::new);
                let result = copy(content, &mut reader, out, hasher, &path.display().to_string(), damaged);
                if let (Err(CopyError::Read(_)), Some(cache)) = (&result, &self.cache) {
                    // The next attempt makes it again from the input, or fetches the input again.
                    cache.discard(path);
                }
                result
            }
        }
    }

    fn locate(&self, pack: &PackRef) -> Option<(&File, u64, &Path)> {
        let found = self.packs.get(&pack.input)?;
        match found.index.members.get(usize::try_from(pack.member).ok()?)?.kind {
            MemberKind::File { offset, .. } => Some((&found.content, offset, &found.content_path)),
            _ => None,
        }
    }
}

/// Why a content could not be copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The source is missing, unreadable or does not match its digest.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The destination failed.
    #[error("writing: {0}")]
    Write(io::Error),
}

fn read_error(what: &str, error: &io::Error) -> CopyError {
    CopyError::Read(ReadError { what: what.to_owned(), why: error.to_string() })
}

/// Copies the bytes of `content`; with a `hasher`, verifies their digest while copying.
fn copy(
    content: &Content,
    reader: &mut impl Read,
    out: &mut dyn Write,
    mut hasher: Option<Sha256>,
    what: &str,
    mismatch: &str,
) -> Result<(), CopyError> {
    let mut left = content.size;
    let mut buffer = vec![0; usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK))];
    while left > 0 {
        let wanted = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        match reader.read(&mut buffer[..wanted]) {
            Ok(0) => break,
            Ok(got) => {
                if let Some(hasher) = &mut hasher {
                    hasher.update(&buffer[..got]);
                }
                out.write_all(&buffer[..got]).map_err(CopyError::Write)?;
                left -= got as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(read_error(what, &error)),
        }
    }
    if left > 0 || hasher.is_some_and(|hasher| Digest::finish(hasher) != content.digest) {
        return Err(CopyError::Read(ReadError { what: what.to_owned(), why: mismatch.to_owned() }));
    }
    Ok(())
}

impl ContentReader for Store {
    fn visit(&self, contents: &[&Content], visit: &(dyn Fn(usize, &[u8]) + Sync)) -> Result<(), ReadError> {
        contents.par_iter().enumerate().try_for_each(|(index, content)| {
            if let Some(bytes) = content.as_inline() {
                visit(index, bytes);
                return Ok(());
            }
            let mut bytes = Vec::with_capacity(usize::try_from(content.size).unwrap_or(0).min(1 << 30));
            match self.copy(content, &mut bytes) {
                Ok(()) => {
                    visit(index, &bytes);
                    Ok(())
                }
                Err(CopyError::Read(error)) => Err(error),
                Err(CopyError::Write(error)) => Err(ReadError { what: "memory".into(), why: error.to_string() }),
            }
        })
    }
}

/// Reads sequentially without moving the shared file's position.
struct ReadAt<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for ReadAt<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.file.read_at(buffer, self.offset)?;
        self.offset += got as u64;
        Ok(got)
    }
}
