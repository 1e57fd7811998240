//! Paths that cannot leave the tree.

use super::printable::{Printable, has_controls};
use std::borrow::Borrow;
use std::fmt;

/// The longest accepted path in bytes: Linux's `PATH_MAX` without its NUL.
const MAX_PATH: usize = 4095;
/// The longest accepted component in bytes: Linux's `NAME_MAX`.
const MAX_NAME: usize = 255;

/// A path inside the image: relative to its root, `/`-separated, UTF-8, without `.`, `..`, empty
/// components or characters that control a terminal. Never empty: the root directory itself has no
/// entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TreePath(Box<str>);

/// Why a string is not a path inside the image.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum PathError {
    /// The string has nothing after `./` and slashes.
    #[error("the path is empty")]
    Empty,
    /// A `..` component.
    #[error("{0:?} leaves the tree through \"..\"")]
    Escapes(String),
    /// Not UTF-8; as [`Printable`] shows it.
    #[error("\"{0}\" is not UTF-8")]
    NotUtf8(String),
    /// NUL, newline or another control character, or an invisible one that reverses text; as
    /// [`Printable`] shows it.
    #[error("\"{0}\" contains a control character")]
    Control(String),
    /// Longer than Linux allows.
    #[error("{0:?}… is longer than Linux allows (4095 bytes, 255 per component)")]
    TooLong(String),
}

impl TreePath {
    /// Parses a path as archives and users write it: leading `./` and `/`, doubled and trailing
    /// slashes are dropped.
    ///
    /// # Errors
    /// [`PathError`] for anything that is not a plain path below the root.
    pub fn new(text: &str) -> Result<Self, PathError> {
        if text.len() > MAX_PATH {
            return Err(PathError::TooLong(text.chars().take(64).collect()));
        }
        if has_controls(text) {
            return Err(PathError::Control(Printable::new(text).to_string()));
        }
        let mut clean = String::with_capacity(text.len());
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => return Err(PathError::Escapes(text.to_owned())),
                _ if part.len() > MAX_NAME => {
                    return Err(PathError::TooLong(part.chars().take(64).collect()));
                }
                _ => {
                    if !clean.is_empty() {
                        clean.push('/');
                    }
                    clean.push_str(part);
                }
            }
        }
        if clean.is_empty() { Err(PathError::Empty) } else { Ok(Self(clean.into())) }
    }

    /// Like [`TreePath::new`], for bytes from an archive.
    ///
    /// # Errors
    /// [`PathError`], also if the bytes are not UTF-8.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PathError> {
        Self::new(utf8(bytes)?)
    }

    /// Makes a path from a prefix of a path that was already checked.
    pub(super) fn derived(prefix: &str) -> Self {
        Self(prefix.into())
    }

    /// The path, without a leading slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The directory it is in; `None` at the top level.
    pub fn parent(&self) -> Option<&str> {
        self.0.rfind('/').map(|at| &self.0[..at])
    }

    /// The last component.
    pub fn name(&self) -> &str {
        self.0.rfind('/').map_or(&self.0, |at| &self.0[at + 1..])
    }

    /// All directories above, nearest first.
    pub fn ancestors(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(self.parent(), |path| path.rfind('/').map(|at| &path[..at]))
    }

    /// The path of `name` below this path.
    ///
    /// # Errors
    /// As [`TreePath::new`].
    pub fn join(&self, name: &str) -> Result<Self, PathError> {
        Self::new(&format!("{self}/{name}"))
    }
}

/// Checks the target of a symbolic link, which may lead anywhere.
///
/// # Errors
/// [`PathError`] for what no name may contain.
pub fn link_target(bytes: &[u8]) -> Result<String, PathError> {
    let text = utf8(bytes)?;
    match has_controls(text) {
        true => Err(PathError::Control(Printable::new(text).to_string())),
        false => Ok(text.to_owned()),
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, PathError> {
    let shown = || Printable::new(&bytes[..bytes.len().min(256)]).to_string();
    std::str::from_utf8(bytes).map_err(|_| PathError::NotUtf8(shown()))
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for TreePath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TreePath {
    type Error = PathError;

    fn try_from(text: String) -> Result<Self, PathError> {
        Self::new(&text)
    }
}

impl From<TreePath> for String {
    fn from(path: TreePath) -> Self {
        path.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn archive_spellings_give_the_same_path() {
        for text in ["./usr/bin/", "/usr/bin", "usr//bin", "usr/./bin"] {
            assert_eq!(TreePath::new(text).expect("valid").as_str(), "usr/bin");
        }
        assert_eq!(TreePath::new("./"), Err(PathError::Empty));
        assert!(matches!(TreePath::new("a/../../etc"), Err(PathError::Escapes(_))));
        assert_eq!(TreePath::from_bytes(b"a\xff"), Err(PathError::NotUtf8("a\\xff".into())));
    }

    #[test]
    fn names_and_targets_do_not_control_the_terminal() {
        for bytes in [&b"a\nb"[..], b"a\x1b[2J", "a\u{202e}b".as_bytes(), "a\u{85}".as_bytes()] {
            let error = TreePath::from_bytes(bytes).expect_err("a control character");
            assert_eq!(error.to_string(), format!("\"{}\" contains a control character", Printable::new(bytes)));
            assert_eq!(link_target(bytes), Err(error));
        }
        assert_eq!(link_target(b"../../\xff"), Err(PathError::NotUtf8("../../\\xff".into())));
        assert_eq!(link_target("../../\\x2d/\u{20ac}".as_bytes()), Ok("../../\\x2d/\u{20ac}".into()));
    }

    proptest! {
        #[test]
        fn an_accepted_path_stays_inside(text in "[a./\\PC]{0,40}") {
            if let Ok(path) = TreePath::new(&text) {
                prop_assert!(!path.as_str().starts_with('/'));
                prop_assert!(path.as_str().split('/').all(|part| !matches!(part, "" | "." | "..")));
                prop_assert_eq!(TreePath::new(path.as_str()), Ok(path.clone()));
            }
        }
    }
}
