//! Leaving out what a node never reads.

use crate::profile::PruneRule;
use crate::tree::{FileTree, TreePath};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What one rule removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    /// Entries.
    pub files: u64,
    /// Bytes of regular files.
    pub bytes: u64,
}

/// A pattern that cannot be compiled; profiles are checked when loaded, so this names a rule made in code.
#[derive(Debug, thiserror::Error)]
#[error("prune rule {rule}: {source}")]
pub struct PruneError {
    rule: String,
    source: globset::Error,
}

/// Removes from `tree` what `rules` match, and directories left empty by that; says how much each rule removed.
///
/// # Errors
/// [`PruneError`].
pub fn prune(tree: &mut FileTree, rules: &BTreeMap<String, PruneRule>) -> Result<BTreeMap<String, Pruned>, PruneError> {
    let mut report = BTreeMap::new();
    let mut emptied: BTreeSet<String> = BTreeSet::new();
    for (name, rule) in rules {
        let (paths, keep) = (compile(name, &rule.paths)?, compile(name, &rule.keep)?);
        let pruned: &mut Pruned = report.entry(name.clone()).or_default();
        tree.retain(|path, entry| {
            if entry.is_dir() || !paths.is_match(path.as_str()) || keep.is_match(path.as_str()) {
                return true;
            }
            pruned.files += 1;
            pruned.bytes += entry.content().map_or(0, |content| content.size);
            emptied.extend(path.ancestors().map(str::to_owned));
            false
        });
        // Directories that hold nothing else and are themselves named by the rule: `usr/share/doc/**`.
        emptied.extend(
            tree.iter()
                .filter(|(path, entry)| {
                    entry.is_dir() && paths.is_match(path.as_str()) && !keep.is_match(path.as_str())
                })
                .map(|(path, _)| path.as_str().to_owned()),
        );
    }
    for directory in emptied.iter().rev() {
        if tree.get(directory).is_some_and(crate::tree::Entry::is_dir) && tree.below(directory).next().is_none() {
            tree.remove(directory);
        }
    }
    Ok(report)
}

fn compile(rule: &str, patterns: &[String]) -> Result<GlobSet, PruneError> {
    let error = |source| PruneError { rule: rule.to_owned(), source };
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let pattern = pattern.trim_start_matches('/');
        set.add(GlobBuilder::new(pattern).literal_separator(true).build().map_err(error)?);
    }
    set.build().map_err(error)
}

/// Removes `paths` and reports them like a rule.
pub fn remove_paths(tree: &mut FileTree, paths: &[TreePath]) -> Pruned {
    let mut pruned = Pruned::default();
    for path in paths {
        for (_, entry) in tree.remove(path.as_str()) {
            pruned.files += 1;
            pruned.bytes += entry.content().map_or(0, |content| content.size);
        }
    }
    pruned
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Entry, Origin};

    #[test]
    fn rules_remove_files_and_the_directories_they_emptied() {
        let mut tree = FileTree::new();
        for name in ["usr/share/doc/a/README", "usr/share/doc/a/copyright", "usr/share/doc/b/README", "usr/share/x"] {
            let entry = Entry::file("12345", 0o644, Origin::Generated("test".into()));
            tree.insert(TreePath::new(name).expect("valid"), entry).expect("inserted");
        }
        let rule = PruneRule {
            reason: String::new(),
            paths: vec!["/usr/share/doc/**".into()],
            keep: vec!["usr/share/doc/*/copyright".into()],
        };
        let report = prune(&mut tree, &BTreeMap::from([("doc".to_owned(), rule)])).expect("pruned");
        assert_eq!(report["doc"], Pruned { files: 2, bytes: 10 });
        let left: Vec<&str> = tree.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(
            left,
            ["usr", "usr/share", "usr/share/doc", "usr/share/doc/a", "usr/share/doc/a/copyright", "usr/share/x"]
        );
    }
}
