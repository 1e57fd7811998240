//! Reading contents back while a tree is still a value.

use super::content::{Content, ContentSource};

/// Why bytes could not be read.
#[derive(Debug, thiserror::Error)]
#[error("reading {what}: {why}")]
pub struct ReadError {
    /// The file or input.
    pub what: String,
    /// The cause, and what to do where that is known.
    pub why: String,
}

/// Gives finalizers the bytes behind a [`Content`], wherever they are stored.
///
/// The builder's implementation decodes whole frames of a cached package, so callers should request
/// many contents in one call.
pub trait ContentReader: Sync {
    /// Calls `visit(i, bytes)` exactly once for each `contents[i]`, in any order, possibly from
    /// several threads.
    ///
    /// # Errors
    /// [`ReadError`] when bytes are missing or their digest is wrong.
    fn visit(&self, contents: &[&Content], visit: &(dyn Fn(usize, &[u8]) + Sync)) -> Result<(), ReadError>;

    /// The bytes of one file.
    ///
    /// # Errors
    /// As [`ContentReader::visit`].
    fn read(&self, content: &Content) -> Result<Vec<u8>, ReadError> {
        let bytes = std::sync::Mutex::new(Vec::new());
        self.visit(&[content], &|_, read| {
            if let Ok(mut bytes) = bytes.lock() {
                *bytes = read.to_vec();
            }
        })?;
        Ok(bytes.into_inner().unwrap_or_default())
    }
}

/// Reads inline contents and files of the build host; rejects contents inside an input.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalReader;

impl ContentReader for LocalReader {
    fn visit(&self, contents: &[&Content], visit: &(dyn Fn(usize, &[u8]) + Sync)) -> Result<(), ReadError> {
        for (index, content) in contents.iter().enumerate() {
            match &content.source {
                ContentSource::Inline(bytes) => visit(index, bytes),
                ContentSource::Host(path) => {
                    let bytes = std::fs::read(path.as_path())
                        .map_err(|error| ReadError { what: path.display().to_string(), why: error.to_string() })?;
                    visit(index, &bytes);
                }
                ContentSource::Pack(pack) => {
                    return Err(ReadError {
                        what: format!("member {} of input {}", pack.member, pack.input),
                        why: "it is not on this host".into(),
                    });
                }
            }
        }
        Ok(())
    }
}
