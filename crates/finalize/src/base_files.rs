//! What the postinst scripts of base-files, debianutils, libpam-modules and openssh-server install:
//! directories, links, skeleton files and `/etc/shells`.

use super::Finalizer;
use super::input::{self, InputError, OutputError};
use kiln_tree::{ContentReader, Entry, FileTree};

pub(crate) const FINALIZER: Finalizer =
    Finalizer { name: "base-files", reads: &[&["usr/share/base-files", "usr/share/openssh", SHELLS, SHELLS_DECLARED]] };

/// debianutils' list of shells.
const SHELLS: &str = "usr/share/debianutils/shells";
/// Shells that packages declare.
const SHELLS_DECLARED: &str = "usr/share/debianutils/shells.d";

/// Why the files cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BaseFilesError {
    /// A file cannot be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The result cannot be put into the tree.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Directories that base-files makes: path, mode, gid. `usr/local` does not get the staff group,
/// because `/etc/staff-group-for-usr-local` does not exist by default.
const DIRECTORIES: &[(&str, u16, u32)] = &[
    ("mnt", 0o755, 0),
    ("srv", 0o755, 0),
    ("opt", 0o755, 0),
    ("etc/opt", 0o755, 0),
    ("var/opt", 0o755, 0),
    ("media", 0o755, 0),
    // The group mail has gid 8 in base-passwd's master file.
    ("var/mail", 0o2775, 8),
    ("usr/local/bin", 0o755, 0),
    ("usr/local/etc", 0o755, 0),
    ("usr/local/games", 0o755, 0),
    ("usr/local/include", 0o755, 0),
    ("usr/local/lib", 0o755, 0),
    // Since Debian 13.
    ("usr/local/libexec", 0o755, 0),
    ("usr/local/sbin", 0o755, 0),
    ("usr/local/share", 0o755, 0),
    ("usr/local/share/man", 0o755, 0),
    ("usr/local/src", 0o755, 0),
];

/// Links that base-files makes; `var/run` and `var/lock` replace empty directories.
const LINKS: &[(&str, &str)] =
    &[("var/spool/mail", "../mail"), ("var/run", "/run"), ("var/lock", "/run/lock"), ("usr/local/man", "share/man")];

/// Files that base-files copies if they are missing, and openssh-server with its default answers:
/// sshd does not start without its file.
const COPIES: &[(&str, &str)] = &[
    ("usr/share/base-files/dot.profile", "root/.profile"),
    ("usr/share/base-files/dot.bashrc", "root/.bashrc"),
    ("usr/share/base-files/profile", "etc/profile"),
    ("usr/share/base-files/motd", "etc/motd"),
    ("usr/share/openssh/sshd_config", "etc/ssh/sshd_config"),
];

/// Empty files of libpam-modules: without `/etc/environment` pam_env complains at every session.
const EMPTY: &[(&str, u16)] = &[("etc/security/opasswd", 0o600), ("etc/environment", 0o644)];

/// Adds everything that is missing.
///
/// # Errors
/// [`BaseFilesError`].
pub fn finalize(tree: &mut FileTree, reader: &dyn ContentReader) -> Result<(), BaseFilesError> {
    let origin = || FINALIZER.origin();
    for (path, mode, gid) in DIRECTORIES {
        if !tree.contains(path) {
            input::put(tree, path, Entry::directory(*mode, origin()).owned(0, *gid))?;
        }
    }
    for (path, target) in LINKS {
        let movable = tree.get(path).is_none_or(Entry::is_dir) && tree.below(path).next().is_none();
        if movable {
            input::put(tree, path, Entry::symlink(*target, origin()))?;
        }
    }
    for (source, to) in COPIES {
        if !tree.contains(to) && tree.resolve(source).is_some() {
            let bytes = input::bytes(tree, reader, source)?;
            input::put(tree, to, Entry::file(bytes, 0o644, origin()))?;
        }
    }
    if tree.contains("etc/security") {
        for (path, mode) in EMPTY {
            if !tree.contains(path) {
                input::put(tree, path, Entry::file("", *mode, origin()))?;
            }
        }
    }
    if !tree.contains("etc/shells") {
        let text = shells(tree, reader)?;
        if !text.is_empty() {
            input::put(tree, "etc/shells", Entry::file(text, 0o644, origin()))?;
        }
    }
    Ok(())
}

/// Returns `/etc/shells` as update-shells(8) writes it: debianutils' template, then the shells that
/// packages declare in `shells.d`, each also by its path without symlinked directories.
fn shells(tree: &FileTree, reader: &dyn ContentReader) -> Result<String, InputError> {
    if tree.resolve(SHELLS).is_none() {
        return Ok(String::new());
    }
    let mut text = input::text(tree, reader, SHELLS)?;
    let mut files = vec![text.clone()];
    for (path, entry) in tree.children(SHELLS_DECLARED) {
        if entry.content().is_some() {
            files.push(input::text(tree, reader, path.as_str())?);
        }
    }
    let mut known: Vec<String> = text.lines().map(str::to_owned).collect();
    for line in files.iter().flat_map(|file| file.lines()) {
        let shell = line.split('#').next().unwrap_or_default();
        if shell.is_empty() {
            continue;
        }
        let (dir, name) = shell.rsplit_once('/').unwrap_or(("", shell));
        let real = tree.resolve(dir).map(|(dir, _)| format!("/{dir}/{name}"));
        for shell in [Some(shell.to_owned()), real].into_iter().flatten() {
            if !known.contains(&shell) {
                text.push_str(&shell);
                text.push('\n');
                known.push(shell);
            }
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_tree::{LocalReader, Origin};

    #[test]
    fn existing_files_are_kept() {
        let mut tree = FileTree::new();
        let file = |text: &str| Entry::file(text, 0o600, Origin::Overlay("site".into()));
        input::put(&mut tree, "etc/profile", file("mine")).expect("a free path");
        input::put(&mut tree, "usr/share/base-files/profile", file("theirs")).expect("a free path");
        input::put(&mut tree, "var/run/kept", file("")).expect("a free path");
        finalize(&mut tree, &LocalReader).expect("made");
        assert_eq!(tree.get("etc/profile").and_then(Entry::inline), Some(&b"mine"[..]));
        assert!(tree.contains("var/run/kept"));
        assert_eq!(tree.get("var/lock").and_then(Entry::link_target), Some("/run/lock"));
        let before = tree.clone();
        finalize(&mut tree, &LocalReader).expect("made");
        assert_eq!(tree, before);
    }
}
