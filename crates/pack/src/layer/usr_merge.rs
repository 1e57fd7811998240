//! usr-merge: `/bin`, `/sbin` and `/lib*` are links into `/usr`
//! (<https://wiki.debian.org/UsrMerge>; convert-usrmerge of the usrmerge package does this to a
//! running system).

use kiln_tree::{Entry, FileTree, Kind, Origin, TreeError, TreePath};

/// The top-level directories that are moved to `/usr`.
const MERGED: [&str; 6] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// The location of a package's path in a merged tree: `lib/x` → `usr/lib/x`.
pub fn merge_path(path: TreePath) -> TreePath {
    let top = path.as_str().split('/').next().unwrap_or("");
    if MERGED.contains(&top) && path.as_str().len() > top.len() {
        // A checked path stays valid with "usr/" before it, unless it becomes too long, and then it
        // could not be opened anyway.
        return TreePath::new(&format!("usr/{path}")).unwrap_or(path);
    }
    path
}

/// Whether a member of a package is one of the links (or, in unmerged packages, directories) that
/// [`usr_merge_links`] makes.
pub(super) fn is_merged_top(path: &TreePath) -> bool {
    MERGED.contains(&path.as_str())
}

/// Adds the links at the top of `tree`: always for `bin`, `sbin` and `lib`, for the others if
/// `/usr` has the directory.
///
/// # Errors
/// [`TreeError`] when something else is already at the path of a link.
pub fn usr_merge_links(tree: &mut FileTree) -> Result<(), TreeError> {
    let origin = Origin::Generated("usr-merge".into());
    for (index, name) in MERGED.into_iter().enumerate() {
        let directory = format!("usr/{name}");
        if index >= 3 && !tree.contains(&directory) {
            continue;
        }
        if let (Ok(link), Ok(directory)) = (TreePath::new(name), TreePath::new(&directory)) {
            if !tree.contains(directory.as_str()) {
                tree.insert(directory.clone(), Entry::directory(0o755, origin.clone()))?;
            }
            let entry = Entry::symlink(directory.as_str(), origin.clone());
            if tree.get(name).is_none_or(|old| !matches!(old.kind, Kind::Symlink(_))) {
                tree.insert(link, entry)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_move_into_usr() {
        for (from, to) in [
            ("lib/modules/6.1/x.ko", "usr/lib/modules/6.1/x.ko"),
            ("bin/sh", "usr/bin/sh"),
            ("lib64/ld-linux-x86-64.so.2", "usr/lib64/ld-linux-x86-64.so.2"),
            ("libexec/x", "libexec/x"),
            ("bin", "bin"),
            ("etc/lib/x", "etc/lib/x"),
        ] {
            assert_eq!(merge_path(TreePath::new(from).expect("valid")).as_str(), to);
        }
    }
}
