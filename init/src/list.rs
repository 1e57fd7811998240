//! What the lists beside `/init` have in common.

use std::fmt;

/// Why a list is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListError {
    /// Where the list is, without a leading slash.
    pub file: &'static str,
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: &'static str,
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}: line {}: {}", self.file, self.line, self.why)
    }
}

impl std::error::Error for ListError {}
