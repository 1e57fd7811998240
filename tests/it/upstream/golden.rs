//! Everything kiln itself puts into a worker, compared whole with trees in `tests/golden`.

use crate::upstream::bench::{debian, extract, inspect};
use crate::upstream::tools::{run, tool};
use kiln_finalize::FINALIZERS;
use kiln_manifest::FileRecord;
use kiln_tree::Origin;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Finalizers whose files are named after a package's version or contents: every update of a
/// package would change the list.
const BY_CONTENT: [&str; 2] = ["ca-certificates", "depmod"];

/// Files whose bytes an update of a package or another day changes, and a program that changes with
/// every line of it.
const VARYING: [&str; 4] = [
    "etc/ld.so.cache",
    "etc/shadow",
    "usr/bin/kiln-agent",
    // It has Debian's point release.
    "usr/lib/os-release",
];

/// Compares the image in `out` with `tests/golden/<name>`: `FILES` lists what artifacts, renderers
/// and finalizers brought, `rootfs` has the text of what was rendered and generated. With
/// `UPDATE_SNAPSHOTS` set, writes it instead, for review with git diff.
pub(super) fn compare(out: &Path, name: &str) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let scratch = tempfile::tempdir().expect("a directory");
    let actual = scratch.path().join(name);
    write(out, &actual);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::remove_dir_all(&golden).ok();
        fs::create_dir_all(golden.parent().expect("a parent")).expect("a directory");
        run(tool("cp", "coreutils").arg("-r").arg(&actual).arg(&golden));
    }
    let mut diff = tool("diff", "diffutils");
    let output = diff.args(["-ruN"]).arg(&golden).arg(&actual).output().expect("diff starts");
    assert!(
        output.status.success(),
        "tests/golden/{name} is not what is baked; if the change is meant, run the test with UPDATE_SNAPSHOTS=1:\n{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

fn write(out: &Path, directory: &Path) {
    let ours: Vec<FileRecord> = inspect(out)
        .into_iter()
        .filter(|record| match &record.origin {
            Origin::Rendered(_) | Origin::Artifact(_) | Origin::Profile(_) => true,
            Origin::Generated(name) => !BY_CONTENT.contains(&&**name),
            _ => false,
        })
        .collect();
    let mut list = String::new();
    for FileRecord { mode, uid, gid, path, target, origin, kind, .. } in &ours {
        let target = target.as_ref().map(|target| format!(" -> {target}")).unwrap_or_default();
        writeln!(list, "{mode} {uid}:{gid} {kind} /{path}{target} [{origin}]").expect("written");
    }
    let is_text = |record: &&FileRecord| {
        !matches!(record.origin, Origin::Artifact(_)) && !VARYING.contains(&record.path.as_str())
    };
    let rendered = ours.iter().filter(|record| record.kind == "file").filter(is_text);
    let rendered: Vec<&str> = rendered.map(|record| record.path.as_str()).collect();
    extract(out, &directory.join("rootfs"), rendered.iter().copied());
    for path in rendered {
        assert!(directory.join("rootfs").join(path).is_file(), "/{path} is not in the initramfs");
    }
    fs::write(directory.join("FILES"), list).expect("written");
}

#[test]
fn a_worker_of_debians_packages_has_these_files() {
    compare(debian(), "worker-debian-1.20.2");
}

/// A finalizer whose every file something earlier has written would be code in no image.
#[test]
fn every_finalizer_acts_in_a_worker() {
    let generated: BTreeSet<String> = inspect(debian())
        .into_iter()
        .filter_map(|record| match record.origin {
            Origin::Generated(name) => Some(name.to_string()),
            _ => None,
        })
        .collect();
    let mut expected: BTreeSet<String> = FINALIZERS.iter().map(|finalizer| finalizer.name.to_owned()).collect();
    // The links are made while packages are laid.
    expected.insert("usr-merge".to_owned());
    assert_eq!(generated, expected);
}
