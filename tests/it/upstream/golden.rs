//! Everything kiln itself puts into a worker, compared whole with trees in `tests/golden`.

use crate::upstream::bench::{debian, extract, inspect};
use crate::upstream::tools::{run, tool};
use kiln_manifest::FileRecord;
use kiln_tree::Origin;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Compares the image in `out` with `tests/golden/<name>`: `FILES` lists what artifacts and renderers brought, `rootfs` has the text
/// of what was rendered. With `UPDATE_SNAPSHOTS` set, writes it instead, for review with git diff.
pub fn compare(out: &Path, name: &str) {
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
        .filter(|record| matches!(record.origin, Origin::Rendered(_) | Origin::Artifact(_) | Origin::Profile(_)))
        .collect();
    let mut list = String::new();
    for FileRecord { mode, uid, gid, path, target, origin, kind, .. } in &ours {
        let target = target.as_ref().map(|target| format!(" -> {target}")).unwrap_or_default();
        writeln!(list, "{mode} {uid}:{gid} {kind} /{path}{target} [{origin}]").expect("written");
    }
    // The agent is a program, and changes with every line of it.
    let is_text = |record: &&FileRecord| {
        !matches!(record.origin, Origin::Artifact(_)) && record.path.as_str() != "usr/bin/kiln-agent"
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
