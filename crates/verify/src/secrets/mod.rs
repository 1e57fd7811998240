//! Searches for secrets, which must never be in an image: everyone with the image would have them.
//!
//! To avoid false positives, a pattern must have the full form of a secret, and in binaries only
//! those patterns count that programs do not have among their strings. A PEM header without a key
//! after it is a constant that OpenSSL and Go use to recognize keys, not a key.
//!
//! A finding says where a secret is and of which kind, never what it is: reports are kept.

mod patterns;

use kiln_image::listing::Part;
use patterns::{PATTERNS, Pattern, Scope};
use regex::bytes::{Regex, RegexBuilder};

/// The bytes of a part that are searched again together with the next part: no pattern needs more
/// to match.
const OVERLAP: usize = 4 << 10;
/// A file without a NUL in its first bytes, up to this number, is text.
const TEXT_PROBE: usize = 8 << 10;
/// The most findings that are kept.
const MAX_FINDINGS: usize = 10_000;

/// Searches files part by part. Every pattern takes time in proportion to the bytes only.
#[derive(Debug)]
pub(super) struct Scanner {
    patterns: Vec<(Pattern, Regex)>,
    /// The end of the last part, followed by the current part.
    window: Vec<u8>,
    text: bool,
    test_data: bool,
    /// What was found in this file already.
    found: Vec<&'static str>,
    findings: Vec<Finding>,
}

/// A secret in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub path: String,
    /// Where in it, and what kind of secret.
    pub what: String,
}

impl Scanner {
    pub(super) fn new() -> Self {
        let compiled = |pattern: Pattern| {
            let regex = RegexBuilder::new(pattern.regex).unicode(false).dot_matches_new_line(true).build();
            // The patterns are constants, and a test compiles them.
            regex.ok().map(|regex| (pattern, regex))
        };
        let patterns = PATTERNS.into_iter().filter_map(compiled).collect();
        Self { patterns, window: Vec::new(), text: false, test_data: false, found: Vec::new(), findings: Vec::new() }
    }

    /// Searches the next part of the file at `path`; parts come in order, the first with offset 0.
    pub(super) fn scan(&mut self, path: &str, part: Part<'_>) {
        if part.offset == 0 {
            self.window.clear();
            self.text = !part.bytes.iter().take(TEXT_PROBE).any(|byte| *byte == 0);
            self.test_data = patterns::is_test_data(path);
            self.found.clear();
        }
        if self.test_data {
            return;
        }
        let kept = self.window.len().min(OVERLAP);
        self.window.drain(..self.window.len() - kept);
        self.window.extend_from_slice(part.bytes);
        let start = part.offset - kept as u64;
        for (pattern, regex) in &self.patterns {
            let wanted = pattern.scope.includes(path, self.text) && !self.found.contains(&pattern.name);
            if !wanted || pattern.scope == Scope::Start && part.offset != 0 || self.findings.len() >= MAX_FINDINGS {
                continue;
            }
            if let Some(at) = find(pattern, regex, &self.window) {
                self.found.push(pattern.name);
                let what = format!("contains {} at byte {}", pattern.name, start + at as u64);
                self.findings.push(Finding { path: path.to_owned(), what });
            }
        }
    }

    /// Returns the findings.
    pub(super) fn finish(self) -> Vec<Finding> {
        self.findings
    }
}

/// Where `pattern` matches first and is plausible.
fn find(pattern: &Pattern, regex: &Regex, window: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(found) = regex.find_at(window, from) {
        // Most files have no match, and groups cost time.
        let groups = regex.captures_at(window, found.start())?;
        let value = groups.name("value").map_or(found.as_bytes(), |value| value.as_bytes());
        if (pattern.plausible)(value) {
            return Some(found.start());
        }
        from = found.end().max(from + 1);
    }
    None
}

#[cfg(test)]
mod tests;
