//! The checks and their results.

use kiln_tree::Printable;
use serde::Serialize;
use std::fmt;

/// The most findings of one check that are kept; further ones are only counted.
const MAX_FINDINGS: usize = 1000;

/// One check and its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Its name: `sums`, `initramfs`, `verity` …
    pub name: &'static str,
    /// What is true if there are no findings.
    pub what: String,
    /// Whether the check passed.
    pub passed: bool,
    /// The defects found.
    pub findings: Vec<String>,
    /// The number of further findings.
    pub more: usize,
}

/// All checks of an output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The checks in the order in which they ran.
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

    /// Adds a check that could not be completed.
    pub(super) fn failed(&mut self, name: &'static str, why: impl fmt::Display) {
        self.add(Check::new(name, "", vec![why.to_string()]));
    }
}

/// Writes one line, and the findings indented below it.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.passed {
            return write!(f, "ok    {}: {}", self.name, Printable::sentence(&self.what));
        }
        write!(f, "FAIL  {}: {} wrong", self.name, self.findings.len() + self.more)?;
        for finding in self.findings.iter().take(SHOWN) {
            // Names in an image are untrusted: they must not control the terminal.
            write!(f, "\n        {}", Printable::new(finding))?;
        }
        let hidden = self.findings.len().saturating_sub(SHOWN) + self.more;
        if hidden > 0 { write!(f, "\n        … and {hidden} more; --json lists them") } else { Ok(()) }
    }
}

/// Findings of one check that are shown on a terminal.
const SHOWN: usize = 10;
