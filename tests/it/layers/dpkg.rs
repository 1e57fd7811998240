//! Unpacks packages with dpkg(1) into a separate root.

use crate::layers::listing::{Listing, Node, name_links};
use crate::layers::tools::tool;
use kiln_profile::Diversion;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Unpacks in the root `$1` with the database `$2`, then lists the root on standard output. Runs
/// under fakeroot(1), so that owners, modes and devices are those of the packages. The host's
/// dpkg.cfg is not used, because it may exclude paths. Links that exist before any package have the
/// time that kiln gives its own files; `/lib64` exists if packages contain files in it.
const SCRIPT: &str = r#"
root=$1 database=$2; shift 2
touch --no-dereference --date=@0 "$root"/*
dpkg --root="$root" --admindir="$database" --force-unsafe-io --force-bad-path --force-depends --force-architecture --path-include='*' \
    --unpack "$@" >&2 || exit
if rmdir "$root/usr/lib64" 2>/dev/null; then rm "$root/lib64"; fi
find "$root" -mindepth 1 -printf '%P\0%y\0%m\0%U\0%G\0%s\0%T@\0%l\0%i\0'
"#;

/// Unpacks the packages at `debs` with dpkg in this order into a root with the links of usr-merge;
/// returns the resulting tree, or dpkg's error. The packages must not contain maintainer scripts,
/// which would run.
pub(super) fn unpack(debs: &[PathBuf], diversions: &[Diversion]) -> Result<Listing, String> {
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary directory");
    let (root, database) = (place.path().join("root"), place.path().join("database"));
    for top in ["bin", "sbin", "lib", "lib64"] {
        fs::create_dir_all(root.join("usr").join(top)).expect("a directory");
        symlink(Path::new("usr").join(top), root.join(top)).expect("a link");
    }
    for directory in ["info", "updates", "triggers"] {
        fs::create_dir_all(database.join(directory)).expect("a directory");
    }
    fs::write(database.join("status"), "").expect("written");
    // Three lines each: the path, its new path, the package whose copy stays (":" for none).
    let line = |diversion: &Diversion| {
        format!("/{}\n/{}\n{}\n", diversion.from, diversion.to, diversion.by.as_deref().unwrap_or(":"))
    };
    fs::write(database.join("diversions"), diversions.iter().map(line).collect::<String>()).expect("written");
    let dpkg = tool("dpkg", "dpkg");
    let mut command = tool("fakeroot", "fakeroot");
    command.env("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", parent(dpkg.get_program().as_ref())));
    command.args(["--", "sh", "-c", SCRIPT, "unpack"]).args([&root, &database]).args(debs);
    let output = command.output().expect("fakeroot starts");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(listing(&String::from_utf8(output.stdout).expect("UTF-8")))
}

fn parent(path: &Path) -> String {
    path.parent().expect("a directory").display().to_string()
}

fn listing(text: &str) -> Listing {
    let mut listing = Listing::new();
    let mut inodes = BTreeMap::new();
    let fields: Vec<&str> = text.split_terminator('\0').collect();
    for fields in fields.chunks_exact(9) {
        let [path, kind, mode, uid, gid, size, mtime, target, inode] = fields.try_into().expect("nine fields");
        let number = |text: &str| text.parse().expect("a number");
        let kind = kind.chars().next().expect("a type");
        // dpkg --unpack gives conffiles this name until dpkg --configure.
        let path = path.strip_suffix(".dpkg-new").unwrap_or(path).to_owned();
        if kind == 'f' {
            inodes.insert(path.clone(), inode.to_owned());
        }
        let node = Node {
            kind,
            mode: u32::from_str_radix(mode, 8).expect("octal"),
            uid: number(uid),
            gid: number(gid),
            size: (kind == 'f').then(|| size.parse().expect("a size")),
            mtime: (kind != 'd').then(|| number(mtime.split('.').next().expect("seconds"))),
            target: target.to_owned(),
            names: Vec::new(),
        };
        listing.insert(path, node);
    }
    name_links(&mut listing, inodes);
    listing
}
