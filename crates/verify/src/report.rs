//! What was checked and what came of it.

use serde::Serialize;
use std::fmt;

/// Most findings of one check that are kept; the rest is counted.
const MAX_FINDINGS: usize = 1000;

/// One check and its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Its name: `sums`, `initramfs`, `verity` …
    pub name: &'static str,
    /// What holds when there are no findings.
    pub what: String,
    /// Whether it holds.
    pub passed: bool,
    /// What is wrong.
    pub findings: Vec<String>,
    /// Findings beyond those.
    pub more: usize,
}

/// All checks of an output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// In the order they were made.
    pub checks: Vec<Check>,
}

impl Check {
    pub(super) fn new(name: &'static str, what: impl Into<String>, mut findings: Vec<String>) -> Self {
        let more = findings.len().saturating_sub(MAX_FINDINGS);
        findings.truncate(MAX_FINDINGS);
        Self { name, what: what.into(), passed: findings.is_empty(), findings, more }
    }
}

impl Report {
    /// Whether every check passed.
    pub fn passed(&self) -> bool {
        self.checks.iter().all(|check| check.passed)
    }

    pub(super) fn add(&mut self, check: Check) {
        self.checks.push(check);
    }

    /// A check that could not be made to its end.
    pub(super) fn failed(&mut self, name: &'static str, why: impl fmt::Display) {
        self.add(Check::new(name, "", vec![why.to_string()]));
    }
}

/// One line, and what is wrong indented below it.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.passed {
            return write!(f, "ok    {}: {}", self.name, self.what);
        }
        write!(f, "FAIL  {}: {} wrong", self.name, self.findings.len() + self.more)?;
        for finding in self.findings.iter().take(SHOWN) {
            // Names in an image are the image's: they must not draw on the terminal.
            write!(f, "\n        {}", finding.escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'"))?;
        }
        let hidden = self.findings.len().saturating_sub(SHOWN) + self.more;
        if hidden > 0 { write!(f, "\n        … and {hidden} more; --json lists them") } else { Ok(()) }
    }
}

/// Findings of one check that are shown on a terminal.
const SHOWN: usize = 10;
