//! Checks which files anyone may write and which programs are privileged.

use super::report::{Check, Report};
use kiln_image::Kind;
use kiln_image::listing::{Listed, Listing};
use std::collections::BTreeSet;

const S_ISUID: u32 = 0o4000;
const S_ISGID: u32 = 0o2000;
const S_ISVTX: u32 = 0o1000;
const S_IWOTH: u32 = 0o0002;

/// Programs that Debian's packages install with more rights than their caller, their bits and their
/// purpose.
const PRIVILEGED: [(&str, u32, &str); 16] = [
    ("usr/bin/chage", S_ISGID, "reads the caller's own line of /etc/shadow"),
    ("usr/bin/chfn", S_ISUID, "changes the caller's own name"),
    ("usr/bin/chsh", S_ISUID, "changes the caller's own shell"),
    ("usr/bin/expiry", S_ISGID, "reads the caller's own line of /etc/shadow"),
    ("usr/bin/fusermount3", S_ISUID, "mounts FUSE file systems of the caller"),
    ("usr/bin/gpasswd", S_ISUID, "changes groups that the caller administers"),
    ("usr/bin/mount", S_ISUID, "mounts what fstab lets users mount"),
    ("usr/bin/newgrp", S_ISUID, "starts a shell in another of the caller's groups"),
    ("usr/bin/passwd", S_ISUID, "changes the caller's own password"),
    ("usr/bin/ping", S_ISUID, "opens a raw socket, where capabilities are not kept"),
    ("usr/bin/ssh-agent", S_ISGID, "hides its memory from the caller's other programs"),
    ("usr/bin/su", S_ISUID, "starts a shell of somebody else, who knows the password"),
    ("usr/bin/umount", S_ISUID, "unmounts what the caller mounted"),
    (
        "usr/lib/dbus-1.0/dbus-daemon-launch-helper",
        S_ISUID,
        "starts services of the system bus; only the bus may call it",
    ),
    ("usr/lib/openssh/ssh-keysign", S_ISUID, "signs with the host's key"),
    ("usr/sbin/unix_chkpwd", S_ISGID, "checks the caller's own password"),
];

/// Programs with file capabilities.
const CAPABLE: [(&str, &str); 3] = [
    ("usr/bin/newgidmap", "maps groups that /etc/subgid gives the caller"),
    ("usr/bin/newuidmap", "maps users that /etc/subuid gives the caller"),
    ("usr/bin/ping", "opens a raw socket"),
];

pub(super) fn check(listing: &Listing, allowed: &BTreeSet<String>, report: &mut Report) {
    let open: Vec<String> = listing.paths.values().filter(|listed| is_open(listed)).map(open_finding).collect();
    report.add(Check::new("world-writable", "only sticky directories and devices", open));
    let mut privileged = 0;
    let mut findings = Vec::new();
    for (path, listed) in &listing.paths {
        let rights = rights(listed);
        privileged += usize::from(!rights.is_empty());
        if !allowed.contains(path) {
            let unexpected = rights.into_iter().filter(|right| !right.is_expected(path));
            findings.extend(unexpected.map(|right| {
                format!("/{path} {}; \"privileged\" in the profile or \"--allow /{path}\" accepts it", right.words())
            }));
        }
    }
    report.add(Check::new("privileges", format!("{privileged} programs, all known"), findings));
}

/// Whether anyone may write there, and remove or replace what others wrote.
fn is_open(listed: &Listed) -> bool {
    let node = &listed.node;
    let guarded = match node.kind {
        // The mode of a link has no meaning; its target has its own mode.
        Kind::Symlink(_) => true,
        // Devices such as /dev/null are for everyone.
        Kind::Char { .. } => true,
        Kind::Directory => node.mode & S_ISVTX != 0,
        _ => false,
    };
    node.mode & S_IWOTH != 0 && !guarded
}

fn open_finding(listed: &Listed) -> String {
    format!("/{} has the mode {:04o}: anyone may write it", listed.node.path, listed.node.mode)
}

/// A right that exceeds those of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Right {
    Bit(u32),
    Capability,
}

/// The set-group-ID bit of a directory only sets the group of new files.
fn rights(listed: &Listed) -> Vec<Right> {
    let mut rights = Vec::new();
    for bit in [S_ISUID, S_ISGID] {
        if listed.node.mode & bit != 0 && (bit == S_ISUID || listed.node.kind != Kind::Directory) {
            rights.push(Right::Bit(bit));
        }
    }
    if listed.xattrs.contains_key("security.capability") {
        rights.push(Right::Capability);
    }
    rights
}

impl Right {
    fn is_expected(self, path: &str) -> bool {
        match self {
            Self::Bit(bit) => PRIVILEGED.iter().any(|(known, bits, _)| *known == path && *bits == bit),
            Self::Capability => CAPABLE.iter().any(|(known, _)| *known == path),
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Bit(S_ISUID) => "is set-user-ID",
            Self::Bit(_) => "is set-group-ID",
            Self::Capability => "has file capabilities",
        }
    }
}
