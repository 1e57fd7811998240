//! Compares the kernel's command line word by word.

use super::Change;
use similar::{Algorithm, DiffTag, capture_diff_slices};

/// The most words that are compared one by one; the kernel accepts a few kilobytes.
const MAX_WORDS: usize = 1000;

pub(super) fn compare(old: &str, new: &str) -> Vec<Change> {
    // The root hash represents the files, which are compared themselves; an output's manifest
    // stores it elsewhere.
    let is_setting = |word: &&str| !word.starts_with("roothash=");
    let old: Vec<&str> = old.split_whitespace().filter(is_setting).take(MAX_WORDS).collect();
    let new: Vec<&str> = new.split_whitespace().filter(is_setting).take(MAX_WORDS).collect();
    let mut changes: Vec<Change> = Vec::new();
    for op in capture_diff_slices(Algorithm::Myers, &old, &new) {
        if op.tag() == DiffTag::Equal {
            continue;
        }
        let key = |word: &str| word.split('=').next().unwrap_or_default().to_owned();
        let removed = &old[op.old_range()];
        let mut added: Vec<&str> = new[op.new_range()].to_vec();
        for word in removed {
            // A changed value of a parameter is one change with both values.
            let same = added.iter().position(|other| key(other) == key(word)).map(|at| added.remove(at));
            changes.push(Change { name: key(word), old: Some((*word).to_owned()), new: same.map(str::to_owned) });
        }
        changes.extend(added.into_iter().map(|word| Change { name: key(word), old: None, new: Some(word.to_owned()) }));
    }
    changes
}
