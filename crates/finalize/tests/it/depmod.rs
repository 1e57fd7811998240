//! Kernel module indexes, compared with kmod itself: both Debian releases' kernels, each indexed by
//! both releases' depmod.

use kiln_testing::suites as debian_root;

use debian_root::{ParallelReader, Suite, run, stdout, tree_of, unpack};
use kiln_finalize::depmod::{KernelModules, Kmod, MODULES, indexes, key, scan};
use kiln_finalize::kernel_modules::select;
use kiln_tree::LocalReader;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// A release's own kmod, run by its own loader so that the host's version does not matter.
struct Tool {
    root: tempfile::TempDir,
    kmod: Kmod,
}

impl Tool {
    fn bookworm() -> Self {
        Self::new("bookworm", "libssl3", Kmod::V30, "kmod version 30")
    }

    fn trixie() -> Self {
        Self::new("trixie", "libssl3t64", Kmod::V34, "kmod version 34")
    }

    fn new(suite: &'static str, libssl: &str, kmod: Kmod, version: &str) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let packages = ["kmod", "libkmod2", "libc6", "libzstd1", "liblzma5", "zlib1g", libssl];
        Suite::new(suite).unpack(&packages, root.path());
        let tool = Self { root, kmod };
        let found = stdout(tool.command("kmod").arg("--version"), "libc6");
        assert!(found.starts_with(version), "{suite} has {found}");
        tool
    }

    fn command(&self, name: &str) -> Command {
        let path = |path: &str| self.root.path().join(path);
        let mut command = Command::new(path("usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"));
        command.arg("--argv0").arg(name).arg("--library-path").arg(path("usr/lib/x86_64-linux-gnu"));
        command.arg(path("usr/bin/kmod")).env("LC_ALL", "C");
        command
    }

    /// Runs depmod on a root.
    fn depmod(&self, root: &Path, release: &str) {
        let output = run(self.command("depmod").arg("-b").arg(root).arg(release), "libc6");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "depmod has no complaints");
    }
}

/// A release's kernel, unpacked, and the name of the kernel release.
fn kernel(suite: &'static str) -> (tempfile::TempDir, String) {
    let root = tempfile::tempdir().expect("a directory");
    let deb = Suite::new(suite).kernel();
    unpack(&[deb], root.path());
    let mut releases = fs::read_dir(root.path().join(MODULES)).expect("modules");
    let release = releases.next().expect("a kernel").expect("a directory").file_name();
    (root, release.into_string().expect("UTF-8"))
}

/// Files that depmod writes; without `modules.order` and others, which the package ships.
fn generated(dir: &Path) -> Vec<PathBuf> {
    let shipped = ["modules.order", "modules.builtin", "modules.builtin.modinfo"];
    let names = fs::read_dir(dir).expect("a directory").map(|file| file.expect("a file").path());
    let mut files: Vec<PathBuf> = names
        .filter(|path| path.is_file())
        .filter(|path| !shipped.contains(&path.file_name().and_then(|name| name.to_str()).expect("UTF-8")))
        .collect();
    files.sort();
    files
}

/// Runs depmod on `root` and compares every byte of every file with ours.
fn assert_equal_to_depmod(tool: &Tool, root: &Path, release: &str, modules: &KernelModules) {
    let dir = root.join(MODULES).join(release);
    generated(&dir).iter().for_each(|file| fs::remove_file(file).expect("removed"));
    tool.depmod(root, release);
    let mut ours = indexes(modules, tool.kmod).expect("indexes");
    ours.sort();
    let theirs = generated(&dir);
    let paths: Vec<PathBuf> = ours.iter().map(|(path, _)| root.join(path.as_str())).collect();
    assert_eq!(paths, theirs, "the same files");
    for (path, bytes) in &ours {
        let theirs = fs::read(root.join(path.as_str())).expect("depmod's file");
        let differ = bytes.iter().zip(&theirs).position(|(a, b)| a != b);
        assert!(
            *bytes == theirs,
            "{path} as {:?}: {} and {} bytes, first difference at {differ:?}",
            tool.kmod,
            bytes.len(),
            theirs.len()
        );
    }
    assert!(ours.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() > 1000, "there is something to compare");
}

/// Scans, selects and compares for one release's kernel.
fn judge(suite: &'static str, suffix: &str) {
    let (root, release) = kernel(suite);
    let tree = tree_of(root.path());
    let start = Instant::now();
    let modules = scan(&tree, &ParallelReader).expect("scanned");
    let scanned = start.elapsed();
    let start = Instant::now();
    let files = indexes(&modules, Kmod::V34).expect("indexes");
    let cached = postcard::to_allocvec(&modules).expect("serialized");
    eprintln!(
        "{suite}: {} modules scanned in {scanned:?} on all cores, {} index files in {:?}, cache {} bytes",
        modules.kernels[0].modules.len(),
        files.len(),
        start.elapsed(),
        cached.len()
    );
    let start = Instant::now();
    assert_eq!(scan(&tree, &LocalReader).expect("scanned"), modules, "the same whichever way contents arrive");
    eprintln!("{suite}: scanned in {:?} on one core", start.elapsed());
    assert_eq!(postcard::from_bytes::<KernelModules>(&cached).expect("read back"), modules);
    assert!(modules.kernels[0].modules.iter().all(|module| module.file.path.ends_with(suffix)));
    // The two versions differ in the order of nodes in *.bin and in modules.weakdep, which 30 does
    // not write; all other text files are equal.
    let tools = [Tool::bookworm(), Tool::trixie()];
    for tool in &tools {
        assert_equal_to_depmod(tool, root.path(), &release, &modules);
    }
    assert_modprobe_agrees(root.path(), &release);
    assert_selection_is_whole(&tools, root.path(), &release, &modules);
    assert_modules_outside_the_order_are_placed(&tools, root.path(), &release);
}

/// Replaces depmod's files with ours.
fn install(root: &Path, modules: &KernelModules, kmod: Kmod) {
    for (path, bytes) in indexes(modules, kmod).expect("indexes") {
        fs::write(root.join(path.as_str()), bytes).expect("written");
    }
}

/// The modules on each line of `modules.dep`.
fn dependencies(root: &Path, release: &str) -> Vec<(String, Vec<String>)> {
    let text = fs::read_to_string(root.join(MODULES).join(release).join("modules.dep")).expect("modules.dep");
    let line = |line: &str| {
        let (module, needed) = line.split_once(':').expect("a colon");
        (module.to_owned(), needed.split_ascii_whitespace().map(str::to_owned).collect())
    };
    text.lines().map(line).collect()
}

fn name_of(path: &str) -> String {
    kiln_finalize::depmod::module_name(path)
}

/// A program of the host's kmod, which is not in the PATH of an ordinary user.
fn kmod(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

/// The host's modinfo, which reads modules, and modprobe, which reads our indexes, agree with
/// `modules.dep`.
fn assert_modprobe_agrees(root: &Path, release: &str) {
    let dependencies = dependencies(root, release);
    let mut asked = 0;
    for (path, needed) in dependencies.iter().step_by(29).chain(dependencies.iter().filter(|(_, n)| n.len() > 8)) {
        let name = name_of(path);
        let modinfo = stdout(kmod("modinfo").arg("-b").arg(root).args(["-k", release, "-F", "depends", &name]), "kmod");
        let needed: Vec<String> = needed.iter().map(|path| name_of(path)).collect();
        for direct in modinfo.trim().split(',').filter(|name| !name.is_empty()) {
            assert!(needed.contains(&direct.replace('-', "_")), "{name} needs {direct}");
        }
        let shown = stdout(
            kmod("modprobe").arg("-d").arg(root).args(["-S", release, "--show-depends", &name]).env("LC_ALL", "C"),
            "kmod",
        );
        let loaded: Vec<String> = shown.lines().filter_map(|line| line.split(' ').nth(1)).map(name_of).collect();
        assert_eq!(loaded.last(), Some(&name), "{shown}");
        for needed in needed {
            assert!(loaded.contains(&needed), "{name} needs {needed}: {shown}");
        }
        asked += 1;
    }
    assert!(asked > 40, "{asked} modules asked about");
}

/// After most modules are removed, depmod's indexes still equal ours, and modprobe finds every file
/// that it would load.
fn assert_selection_is_whole(tools: &[Tool], root: &Path, release: &str, modules: &KernelModules) {
    let keep = [
        "overlay",
        "br_netfilter",
        "ip_vs*",
        "nf-conntrack",
        "vxlan",
        "kernel/fs/btrfs/**",
        "ext4",
        "dm-verity",
        "no_such?",
    ];
    let selection = select(modules, &keep.map(str::to_owned)).expect("selected");
    let before = tree_of(root);
    for (path, size) in &selection.dropped {
        let file = root.join(path.as_str());
        assert_eq!(fs::metadata(&file).expect("a module").len(), *size);
        fs::remove_file(file).expect("removed");
    }
    let after = tree_of(root);
    assert_ne!(key(&before), key(&after));
    assert_eq!(scan(&after, &LocalReader).expect("scanned"), selection.kept, "as if the others had never been");
    for tool in tools {
        assert_equal_to_depmod(tool, root, release, &selection.kept);
    }
    install(root, &selection.kept, Kmod::V34);
    let kept = dependencies(root, release);
    assert!((20..400).contains(&kept.len()), "{} modules kept", kept.len());
    for (path, _) in &kept {
        let shown = stdout(
            kmod("modprobe").arg("-d").arg(root).args(["-S", release, "--show-depends", &name_of(path)]),
            "kmod",
        );
        for file in shown.lines().filter_map(|line| line.strip_prefix("insmod ")) {
            assert!(Path::new(file.split(' ').next().expect("a path")).exists(), "{file} is kept for {path}");
        }
    }
    let typo = select(modules, &["nf_contrack".to_owned()]).expect_err("rejected").to_string();
    assert!(typo.contains("did you mean \"nf_conntrack\"?"), "{typo}");
    eprintln!("{release}: {} modules kept, {} dropped", kept.len(), selection.dropped.len());
}

/// Without `modules.order`, everything is in the order of kmod's hash table; with half of it, the
/// order is mixed.
fn assert_modules_outside_the_order_are_placed(tools: &[Tool], root: &Path, release: &str) {
    let order = root.join(MODULES).join(release).join("modules.order");
    let text = fs::read_to_string(&order).expect("modules.order");
    let lines: Vec<&str> = text.lines().collect();
    let half: String = lines.iter().step_by(2).chain(lines.iter().step_by(4)).map(|line| format!("{line}\n")).collect();
    for text in [half.as_str(), "", half.trim_end()] {
        fs::write(&order, text).expect("written");
        let modules = scan(&tree_of(root), &LocalReader).expect("scanned");
        for tool in tools {
            let quiet = !text.is_empty() && !text.ends_with('\n');
            let dir = root.join(MODULES).join(release);
            generated(&dir).iter().for_each(|file| fs::remove_file(file).expect("removed"));
            // depmod warns about the line that is not terminated.
            let output = run(tool.command("depmod").arg("-b").arg(root).arg(release), "libc6");
            assert_eq!(output.stderr.is_empty(), !quiet);
            for (path, bytes) in indexes(&modules, tool.kmod).expect("indexes") {
                assert!(
                    bytes == fs::read(root.join(path.as_str())).expect("depmod's file"),
                    "{path} as {:?}",
                    tool.kmod
                );
            }
        }
    }
}

#[test]
fn bookworms_kernel_is_indexed_as_depmod_does() {
    judge("bookworm", ".ko");
}

#[test]
fn trixies_kernel_is_indexed_as_depmod_does() {
    judge("trixie", ".ko.xz");
}

/// zstd, which Debian does not use, xz in other modes than the kernel's, and a kernel without any
/// list.
#[test]
fn other_compressors_and_missing_lists_are_as_depmod_has_them() {
    let (root, release) = kernel("bookworm");
    let dir = root.path().join(MODULES).join(&release);
    for name in ["modules.order", "modules.builtin", "modules.builtin.modinfo"] {
        fs::remove_file(dir.join(name)).expect("removed");
    }
    let modules = scan(&tree_of(root.path()), &LocalReader).expect("scanned");
    let selection = select(&modules, &["btrfs".to_owned(), "fuse".to_owned(), "nf_nat".to_owned()]).expect("selected");
    for (path, _) in &selection.dropped {
        fs::remove_file(root.path().join(path.as_str())).expect("removed");
    }
    for (number, module) in selection.kept.kernels[0].modules.iter().enumerate() {
        let file = dir.join(&module.file.path);
        match number % 3 {
            0 => drop(run(Command::new("zstd").args(["-q", "--rm"]).arg(file), "zstd")),
            1 => drop(run(Command::new("xz").args(["--check=sha256", "--x86", "--lzma2"]).arg(file), "xz-utils")),
            _ => {}
        }
    }
    // A second file of one module, of which the one in updates/ is used, and a second module with
    // the same symbols.
    let conntrack = selection.kept.kernels[0].modules.iter().find(|module| module.name() == "nf_conntrack");
    let conntrack = fs::read_dir(dir.join(&conntrack.expect("kept").file.path).parent().expect("a directory"))
        .expect("a directory")
        .map(|file| file.expect("a file").path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("nf_conntrack.ko")))
        .expect("its file, compressed or not");
    let name = conntrack.file_name().expect("a name");
    fs::create_dir_all(dir.join("updates")).expect("a directory");
    fs::copy(&conntrack, dir.join("updates").join(name)).expect("copied");
    symlink(Path::new("updates").join(name), dir.join("nf-other.ko")).expect("a link");
    let modules = scan(&tree_of(root.path()), &LocalReader).expect("scanned");
    assert_eq!(modules.kernels[0].modules.len(), selection.kept.kernels[0].modules.len() + 1);
    assert_eq!(modules.kernels[0].shadowed.len(), 1);
    for tool in [Tool::bookworm(), Tool::trixie()] {
        let output = run(tool.command("depmod").arg("-b").arg(root.path()).arg(&release), "libc6");
        let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(complaints.lines().count(), 3, "one for each missing list: {complaints}");
        let ours = indexes(&modules, tool.kmod).expect("indexes");
        assert!(ours.iter().any(|(path, bytes)| path.name() == "modules.builtin.bin" && bytes.is_empty()));
        for (path, bytes) in ours {
            assert!(bytes == fs::read(root.path().join(path.as_str())).expect("depmod's"), "{path} as {:?}", tool.kmod);
        }
    }
}
