//! Removes what a node never reads.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use kiln_manifest::Pruned;
use kiln_profile::PruneRule;
use kiln_tree::{FileTree, TreePath};
use std::collections::{BTreeMap, BTreeSet};

/// A pattern cannot be compiled. Profiles are checked when loaded, so the rule was made in code.
#[derive(Debug, thiserror::Error)]
#[error("prune rule {rule}: {source}")]
pub struct PruneError {
    rule: String,
    source: globset::Error,
}

/// Removes from `tree` what `rules` match, and directories that this leaves empty; returns how much
/// each rule removed.
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
        // Directories that contain nothing else and that the rule itself names: `usr/share/doc/**`.
        emptied.extend(
            tree.iter()
                .filter(|(path, entry)| {
                    entry.is_dir() && paths.is_match(path.as_str()) && !keep.is_match(path.as_str())
                })
                .map(|(path, _)| path.as_str().to_owned()),
        );
    }
    for directory in emptied.iter().rev() {
        if tree.get(directory).is_some_and(kiln_tree::Entry::is_dir) && tree.below(directory).next().is_none() {
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
    use kiln_tree::{Entry, Origin};

    fn tree(paths: &[&str]) -> FileTree {
        let mut tree = FileTree::new();
        for path in paths {
            let origin = Origin::Generated("test".into());
            let entry = match path.ends_with('/') {
                true => Entry::directory(0o755, origin),
                false => Entry::file("12345", 0o644, origin),
            };
            tree.insert(TreePath::new(path).expect("valid"), entry).expect("inserted");
        }
        tree
    }

    fn rules(rules: &[(&str, &[&str], &[&str])]) -> BTreeMap<String, PruneRule> {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        let rule = |&(name, paths, keep): &(&str, &[&str], &[&str])| {
            (name.to_owned(), PruneRule { reason: String::new(), paths: texts(paths), keep: texts(keep) })
        };
        rules.iter().map(rule).collect()
    }

    fn left(tree: &FileTree) -> Vec<&str> {
        tree.iter().map(|(path, _)| path.as_str()).collect()
    }

    #[test]
    fn rules_remove_files_and_directories_that_become_empty() {
        let mut tree =
            tree(&["usr/share/doc/a/README", "usr/share/doc/a/copyright", "usr/share/doc/b/README", "usr/share/x"]);
        let rules = rules(&[("doc", &["/usr/share/doc/**"], &["usr/share/doc/*/copyright"])]);
        let report = prune(&mut tree, &rules).expect("pruned");
        assert_eq!(report["doc"], Pruned { files: 2, bytes: 10 });
        assert_eq!(
            left(&tree),
            ["usr", "usr/share", "usr/share/doc", "usr/share/doc/a", "usr/share/doc/a/copyright", "usr/share/x"]
        );
    }

    #[test]
    fn a_directory_stays_when_a_rule_keeps_it_or_no_rule_names_it() {
        let mut tree = tree(&["var/empty/", "var/cache/kept/", "var/cache/a/b", "var/cache-x/c", "var/lib/d"]);
        let rules = rules(&[("cache", &["var/cache/**"], &["var/cache/kept"]), ("lib", &["var/lib/*"], &[])]);
        let report = prune(&mut tree, &rules).expect("pruned");
        assert_eq!(left(&tree), ["var", "var/cache", "var/cache-x", "var/cache-x/c", "var/cache/kept", "var/empty"]);
        assert_eq!((report["cache"].files, report["lib"].files), (1, 1));
    }

    #[test]
    fn a_star_matches_one_directory_level_and_a_file_counts_for_the_first_rule() {
        let mut tree = tree(&["usr/a/x", "usr/a/b/x"]);
        let rules = rules(&[("one", &["usr/a/*"], &[]), ("two", &["usr/a/**"], &["usr/a/b/*"])]);
        let report = prune(&mut tree, &rules).expect("pruned");
        assert_eq!(left(&tree), ["usr", "usr/a", "usr/a/b", "usr/a/b/x"]);
        assert_eq!((report["one"].files, report["two"].files), (1, 0));
    }
}
