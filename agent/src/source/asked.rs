//! Which sources may give this machine its seed. A seed decides which cluster a machine belongs to
//! and which files it has, so a source that others control must not beat one that they do not.

use super::{SOURCES, Source, cloud, cmdline};
use crate::paths::SEED_SOURCES;
use crate::root::{FileError, RootDir};
use crate::seed::CMDLINE;

/// The sources to ask, in order.
///
/// The image says which ones it accepts. If it does not, these are all; but a machine without disks
/// of its own asks no volumes: each of its boots is a first boot, when volumes of tenants may be
/// attached. A seed that the command line names is the only one. Where the firmware names a cloud
/// whose metadata service is always there, that is asked before volumes.
///
/// # Errors
/// [`FileError`].
pub fn asked(root: &RootDir) -> Result<Vec<&'static Source>, FileError> {
    let named = root.read(SEED_SOURCES)?;
    let is_accepted = |source: &&Source| match &named {
        Some(named) => named.lines().any(|name| name.trim() == source.key),
        None => !source.is_volume() || root.is_kept(),
    };
    let mut sources: Vec<&Source> = SOURCES.iter().filter(is_accepted).collect();
    if sources.iter().any(|source| source.key == CMDLINE) && cmdline::is_given(root)? {
        sources.retain(|source| source.key == CMDLINE);
    }
    if cloud::has_service(root) {
        sources.sort_by_key(|source| source.is_volume());
    }
    Ok(sources)
}

/// What a person who misses a seed needs to know about the sources.
pub fn remark(root: &RootDir) -> String {
    let sources = asked(root).unwrap_or_default();
    let names: Vec<&str> = sources.iter().map(|source| source.name).collect();
    let ignored = !sources.iter().any(|source| source.key == CMDLINE) && cmdline::is_given(root).unwrap_or_default();
    let ignored = if ignored { "; kiln.seed on the command line is ignored" } else { "" };
    format!("asked: {}{ignored}", if names.is_empty() { "nothing".into() } else { names.join(", ") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::Access;
    use crate::seed;

    fn keys(root: &RootDir) -> Vec<&'static str> {
        asked(root).expect("readable").iter().map(|source| source.key).collect()
    }

    /// A machine whose state is kept; `/tmp` may be in memory.
    fn machine() -> (tempfile::TempDir, RootDir) {
        let directory = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("a directory");
        let root = RootDir::new(directory.path());
        (directory, root)
    }

    fn put(root: &RootDir, path: &str, text: &str) {
        root.write(path, text.as_bytes(), Access::mode(0o644)).expect("written");
    }

    #[test]
    fn every_source_has_its_name_in_profiles() {
        assert_eq!(SOURCES.each_ref().map(|source| source.key), seed::SOURCES);
    }

    #[test]
    fn the_command_line_is_asked_alone() {
        let (_directory, root) = machine();
        assert_eq!(keys(&root), seed::SOURCES);
        put(&root, "/proc/cmdline", "quiet kiln.seed=https://a/b kiln.seed_sha256=x\n");
        assert_eq!(keys(&root), ["cmdline"]);
        assert_eq!(remark(&root), "asked: kernel command line");
    }

    #[test]
    fn the_image_names_its_sources() {
        let (_directory, root) = machine();
        put(&root, SEED_SOURCES, "# a comment\nuser-data\ncredential\nsomething-new\n");
        put(&root, "/proc/cmdline", "kiln.seed=https://a/b\n");
        assert_eq!(keys(&root), ["credential", "user-data"]);
        assert!(remark(&root).ends_with("user data; kiln.seed on the command line is ignored"), "{}", remark(&root));
        put(&root, SEED_SOURCES, "");
        assert!(keys(&root).is_empty());
    }

    #[test]
    fn a_cloud_that_always_has_its_service_comes_before_volumes() {
        let (_directory, root) = machine();
        put(&root, "/sys/class/dmi/id/sys_vendor", "Hetzner\n");
        assert_eq!(keys(&root), ["cmdline", "credential", "user-data", "nocloud", "config-drive"]);
        put(&root, "/sys/class/dmi/id/sys_vendor", "QEMU\n");
        put(&root, "/sys/class/dmi/id/product_name", "OpenStack Nova\n");
        assert_eq!(keys(&root), seed::SOURCES);
    }

    /// `/dev/shm` is in memory on every Linux.
    #[test]
    fn without_disks_no_volume_is_asked_unless_the_image_says_so() {
        let directory = tempfile::tempdir_in("/dev/shm").expect("a directory");
        let root = RootDir::new(directory.path());
        put(&root, "/var/x", "");
        assert_eq!(keys(&root), ["cmdline", "credential", "user-data"]);
        put(&root, SEED_SOURCES, "nocloud\n");
        assert_eq!(keys(&root), ["nocloud"]);
    }
}
