//! The identity of the image, complete enough that nothing is asked at first boot: machine id,
//! hosts, resolver, locale, time zone.
//!
//! - `/etc/machine-id`: empty, 0444. systemd fills it at boot (machine-id(5)). Unlike a missing
//!   file or `uninitialized`, an empty one does not make the boot a first boot: no presets are
//!   applied, and no unit with `ConditionFirstBoot=` runs.
//! - systemd-firstboot, systemd-homed-firstboot: masked. They would wait for a key on the console
//!   if a later step removed the machine id.
//! - `/etc/hostname`: missing. The name comes from the seed; until then it is `localhost`
//!   (systemd's fallback).
//! - `/etc/hosts`: localhost, as netbase's postinst writes it.
//! - `/etc/resolv.conf`: resolved's stub, as systemd-resolved's postinst links it.
//! - `/etc/locale.conf`, `/etc/default/locale`: `LANG=C.UTF-8`, the only locale without the package
//!   locales.
//! - `/etc/localtime`: UTC, linked if tzdata is there; without it the C library's default is UTC
//!   too.
//! - `/etc/mtab`: `../proc/self/mounts`, as systemd's tmpfiles.d would link it.
//! - `/etc/.updated`: the image's epoch, for `ConditionNeedsUpdate=/etc`. The finalizers did what
//!   systemd-hwdb-update, ldconfig and systemd-sysusers would repeat at every boot of an image
//!   whose `/etc` is fresh.

use super::Finalizer;
use super::input::{self, OutputError};
use super::units::Scope;
use kiln_tree::{Entry, FileTree};

pub(crate) const FINALIZER: Finalizer = Finalizer { name: "identity", reads: &[] };

/// As netbase's postinst writes it.
const HOSTS: &str = "127.0.0.1\tlocalhost\n::1\t\tlocalhost ip6-localhost ip6-loopback\nff02::1\t\tip6-allnodes\nff02::2\t\tip6-allrouters\n";
/// Units that ask questions on the console.
const FIRST_BOOT: [&str; 2] = ["systemd-firstboot.service", "systemd-homed-firstboot.service"];
const UPDATED: &str =
    "# Tells systemd that /etc is as new as /usr (systemd-update-done.service(8)): the image was built so.\n";

/// Adds the files above to `tree` where they are missing; always writes `/etc/machine-id`. Must run
/// before [`units::finalize`](super::units::finalize), so that presets see the masks.
///
/// # Errors
/// [`OutputError`] when a parent of one of the paths is not a directory.
pub fn finalize(tree: &mut FileTree) -> Result<(), OutputError> {
    let origin = || FINALIZER.origin();
    input::put(tree, "etc/machine-id", Entry::file("", 0o444, origin()))?;
    for unit in FIRST_BOOT {
        if tree.resolve(&format!("usr/lib/systemd/system/{unit}")).is_some() {
            put_missing(tree, &format!("{}/{unit}", Scope::System.config()), Entry::symlink("/dev/null", origin()))?;
        }
    }
    put_missing(tree, "etc/hosts", Entry::file(HOSTS, 0o644, origin()))?;
    if tree.resolve("usr/lib/systemd/systemd-resolved").is_some() {
        put_missing(tree, "etc/resolv.conf", Entry::symlink("../run/systemd/resolve/stub-resolv.conf", origin()))?;
    }
    if !tree.contains("etc/default/locale") {
        put_missing(tree, "etc/locale.conf", Entry::file("LANG=C.UTF-8\n", 0o644, origin()))?;
        put_missing(tree, "etc/default/locale", Entry::symlink("../locale.conf", origin()))?;
    }
    if tree.resolve("usr/share/zoneinfo/Etc/UTC").is_some() {
        put_missing(tree, "etc/localtime", Entry::symlink("/usr/share/zoneinfo/Etc/UTC", origin()))?;
    }
    put_missing(tree, "etc/mtab", Entry::symlink("../proc/self/mounts", origin()))?;
    put_missing(tree, "etc/.updated", Entry::file(UPDATED, 0o644, origin()))
}

fn put_missing(tree: &mut FileTree, path: &str, entry: Entry) -> Result<(), OutputError> {
    if tree.contains(path) { Ok(()) } else { input::put(tree, path, entry) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_tree::Origin;

    #[test]
    fn files_of_the_profile_are_kept_except_the_machine_id() {
        let mut tree = FileTree::new();
        let file = |text: &str| Entry::file(text, 0o644, Origin::Overlay("site".into()));
        for path in
            ["etc/hosts", "etc/machine-id", "etc/resolv.conf", "usr/lib/systemd/system/systemd-firstboot.service"]
        {
            input::put(&mut tree, path, file("mine")).expect("a free path");
        }
        finalize(&mut tree).expect("made");
        assert_eq!(tree.get("etc/hosts").and_then(Entry::inline), Some(&b"mine"[..]));
        let id = tree.get("etc/machine-id").expect("there");
        assert_eq!((id.inline(), id.meta.mode), (Some(&b""[..]), 0o444));
        let masked = |unit: &str| tree.get(&format!("etc/systemd/system/{unit}")).and_then(Entry::link_target);
        assert_eq!(masked("systemd-firstboot.service"), Some("/dev/null"));
        assert_eq!(masked("systemd-homed-firstboot.service"), None);
        assert!(!tree.contains("etc/localtime"), "no link into a package that is not there");
    }
}
