//! Positions of values.

use super::key::Key;
use std::cmp::Ordering;
use std::fmt;
use std::path::{Path, PathBuf};

/// A position in one of the [`Sources`]; small, because every value has one.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pos {
    /// Index into [`Sources`].
    pub source: u32,
    /// Counted from 1; 0 for a value without a line (an option of the command line).
    pub line: u32,
    /// Counted from 1, in characters.
    pub column: u32,
}

/// A value and its position. Comparisons ignore the position.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    /// The value.
    pub value: T,
    /// Its position.
    pub pos: Pos,
}

impl<T> At<T> {
    /// Checks the value, which is that of `key`; a fault gets this position.
    pub(crate) fn check<U>(
        &self,
        key: impl Into<Key>,
        check: impl FnOnce(&T) -> Result<U, String>,
    ) -> Result<U, Fault> {
        check(&self.value).map_err(|text| self.fault_of(key, text))
    }

    /// A fault at this position that belongs to no key.
    pub(crate) fn fault(&self, text: impl Into<String>) -> Fault {
        self.pos.fault(text)
    }

    /// A fault of `key` at this position.
    pub(crate) fn fault_of(&self, key: impl Into<Key>, text: impl Into<String>) -> Fault {
        self.pos.fault_of(key, text)
    }
}

impl<T: PartialEq> PartialEq for At<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for At<T> {}

impl<T: PartialOrd> PartialOrd for At<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.value.partial_cmp(&other.value)
    }
}

impl<T: Ord> Ord for At<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.value.cmp(&other.value)
    }
}

/// An error in a file or an option, and its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// Its position.
    pub pos: Pos,
    /// The key that is wrong; `None` for errors of the file itself: invalid YAML, an unknown key, a
    /// value of another type.
    pub key: Option<Key>,
    /// One sentence, without the key.
    pub text: String,
    /// The source of the broken rule (a page or a source file); `None` for one of kiln's own.
    pub rule: Option<&'static str>,
}

impl Fault {
    /// Sets the source of the broken rule, when it differs from that of the key.
    pub(crate) fn by(self, rule: &'static str) -> Self {
        Self { rule: Some(rule), ..self }
    }

    /// Marks the broken rule as kiln's own, about the syntax of profiles, whatever the key.
    pub(crate) fn by_kiln(self) -> Self {
        Self { rule: None, ..self }
    }

    /// Key and sentence as one line; control characters become blanks.
    pub(crate) fn message(&self) -> String {
        let text = match &self.key {
            Some(key) => format!("{key}: {}", self.text),
            None => self.text.clone(),
        };
        text.replace(char::is_control, " ")
    }
}

impl Pos {
    /// Whether the value is of an option of the command line, and so the user's own choice.
    pub(crate) fn is_option(self) -> bool {
        self.line == 0
    }

    /// A fault at this position that belongs to no key.
    pub(crate) fn fault(self, text: impl Into<String>) -> Fault {
        Fault { pos: self, key: None, text: text.into(), rule: None }
    }

    /// A fault of `key` at this position.
    pub(crate) fn fault_of(self, key: impl Into<Key>, text: impl Into<String>) -> Fault {
        let key = key.into();
        Fault { pos: self, rule: key.rule(), key: Some(key), text: text.into() }
    }
}

/// A position as messages show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file name as given, or the option of the command line (`--release`).
    pub source: String,
    /// Counted from 1; 0 when there is no line.
    pub line: u32,
    /// Counted from 1, in characters.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.source),
            _ => write!(f, "{}:{}:{}", self.source, self.line, self.column),
        }
    }
}

/// The files from which a profile was read, and the options that changed it. A child precedes its
/// parents.
#[derive(Debug, Default, Clone)]
pub(super) struct Sources(Vec<Source>);

#[derive(Debug, Clone)]
struct Source {
    name: String,
    dir: PathBuf,
}

impl Sources {
    /// Adds a file and returns its index.
    pub(crate) fn file(&mut self, path: &Path) -> u32 {
        let dir = path.parent().map(Path::to_owned).unwrap_or_default();
        self.push(Source { name: path.display().to_string(), dir })
    }

    /// Adds an option of the command line and returns its value with a position. Relative paths in
    /// it start at the working directory.
    pub(crate) fn option<T>(&mut self, name: &str, value: T) -> At<T> {
        let source = self.push(Source { name: name.to_owned(), dir: PathBuf::new() });
        At { value, pos: Pos { source, line: 0, column: 0 } }
    }

    fn push(&mut self, source: Source) -> u32 {
        self.0.push(source);
        u32::try_from(self.0.len() - 1).unwrap_or(u32::MAX)
    }

    fn get(&self, pos: Pos) -> Option<&Source> {
        self.0.get(usize::try_from(pos.source).ok()?)
    }

    /// The directory from which relative paths at `pos` start.
    pub(crate) fn dir(&self, pos: Pos) -> &Path {
        self.get(pos).map_or(Path::new(""), |source| &source.dir)
    }

    /// `pos` as messages show it.
    pub(crate) fn place(&self, pos: Pos) -> Place {
        let source = self.get(pos).map(|source| source.name.clone()).unwrap_or_default();
        Place { source, line: pos.line, column: pos.column }
    }
}
