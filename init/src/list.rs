//! The common parts of the lists beside `/init`.

use std::fmt;

/// Why a list is rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListError {
    /// The path of the list, without a leading slash.
    pub file: &'static str,
    /// The line, counted from 1.
    pub line: usize,
    /// The defect.
    pub why: &'static str,
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}: line {}: {}", self.file, self.line, self.why)
    }
}

impl std::error::Error for ListError {}
