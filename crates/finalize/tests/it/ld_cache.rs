//! `/etc/ld.so.cache` and the SONAME links, compared with both Debian releases' own ldconfig.

use kiln_testing::suites as debian_root;

use debian_root::{ParallelReader, Suite, links, run, stdout, tree_of};
use kiln_finalize::ld_cache::{LdCache, Libraries, generator, scan, write};
use kiln_profile::Arch;
use kiln_tree::{ContentReader, FileTree, LocalReader, Origin};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// Runs `program` of `root`'s release on `root`; outside of a user namespace only root may chroot.
fn chrooted(program: &Path) -> Command {
    let root = stdout(Command::new("id").arg("-u"), "coreutils").trim() == "0";
    if root {
        return Command::new(program);
    }
    let probe = Command::new("unshare").args(["-r", "true"]).status();
    assert!(
        probe.is_ok_and(|status| status.success()),
        "ldconfig -r needs root, or user namespaces and unshare (Debian package util-linux)"
    );
    let mut command = Command::new("unshare");
    command.arg("-r").arg(program);
    command
}

/// A release's libraries with its ldconfig, and special cases for ldconfig's rules.
fn root(suite: &'static str, libssl: &str) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a directory");
    let packages = [
        "libc-bin",
        "libc6",
        libssl,
        "libsystemd0",
        "liblzma5",
        "libzstd1",
        "zlib1g",
        "libselinux1",
        "libpcre2-8-0",
        "libgcc-s1",
        "libstdc++6",
        "libseccomp2",
        "libmount1",
        "libblkid1",
        "libcap2",
        "libgmp10",
    ];
    Suite::new(suite).unpack(&packages, root.path());
    let path = |path: &str| root.path().join(path);
    fs::write(path("etc/ld.so.conf"), "include /etc/ld.so.conf.d/*.conf\n").expect("written");
    root
}

/// Cases that Debian's packages do not have but for which ldconfig has rules.
fn add_oddities(root: &Path) {
    let path = |name: &str| root.join(LIBRARIES).join(name);
    let real = |name: &str| fs::canonicalize(path(name)).expect("a library");
    let libz = real("libz.so.1");
    // Missing and stale SONAME links, and one that leads to another library.
    fs::remove_file(path("libseccomp.so.2")).expect("removed");
    symlink("libgone.so.1.2", path("libgone.so.1")).expect("a link");
    fs::remove_file(path("libcap.so.2")).expect("removed");
    symlink("libzstd.so.1", path("libcap.so.2")).expect("a link");
    // A newer and an older library with one SONAME, ordered by number and not by letter.
    fs::copy(&libz, path("libz.so.1.10.0")).expect("copied");
    fs::copy(&libz, path("libz.so.1.2.0")).expect("copied");
    // A link for ld(1), one with another name, a hard link, a library without a SONAME, a script,
    // leftovers.
    symlink("libzstd.so.1", path("libzstd.so")).expect("a link");
    symlink("libzstd.so.1", path("libother.so.5")).expect("a link");
    fs::hard_link(real("libblkid.so.1"), path("libblkid.so.9.9")).expect("linked");
    fs::write(path("libc.so"), format!("/* GNU ld script */ GROUP ( /lib/libc.so.6 ) {}", " ".repeat(64)))
        .expect("written");
    fs::write(path("libempty.so.1"), "").expect("written");
    fs::write(path("libtext.so.1"), "no library\n".repeat(20)).expect("written");
    fs::create_dir(path("libdir.so.1")).expect("a directory");
    // Optimized variants, one of them a link without a SONAME; a configured directory behind a link.
    let v3 = path("glibc-hwcaps/x86-64-v3");
    fs::create_dir_all(&v3).expect("a directory");
    fs::create_dir_all(path("glibc-hwcaps/x86-64-v4-unused")).expect("a directory");
    fs::copy(&libz, v3.join("libz.so.1.3.1")).expect("copied");
    symlink("libz.so.1.3.1", v3.join("libz.so.1")).expect("a link");
    symlink("libz.so.1.3.1", v3.join("alias")).expect("a link");
    let v2 = path("glibc-hwcaps/x86-64-v2");
    fs::create_dir_all(&v2).expect("a directory");
    fs::copy(&libz, v2.join("libz.so.1.3")).expect("copied");
    let opt = root.join("opt/vendor/lib");
    fs::create_dir_all(&opt).expect("a directory");
    fs::copy(real("libzstd.so.1"), opt.join("libzstd.so.1.5.99")).expect("copied");
    fs::create_dir_all(root.join("srv")).expect("a directory");
    symlink("../opt/vendor/lib", root.join("srv/lib")).expect("a link");
    let conf = "  /srv/lib/ # first\n/opt/vendor/lib\n/nowhere\nhwcap 1 x\ninclude more/[a-z]*.conf\n";
    fs::write(root.join("etc/ld.so.conf.d/00-vendor.conf"), conf).expect("written");
    fs::create_dir_all(root.join("etc/ld.so.conf.d/more")).expect("a directory");
    fs::write(root.join("etc/ld.so.conf.d/more/late.conf"), "/usr/lib/x86_64-linux-gnu/systemd\n").expect("written");
}

/// Libraries that no Debian package has: one that needs x86-64-v3, and one for i386.
fn add_foreign_libraries(root: &Path) {
    let library = |file: &Path, soname: &str, more: &[&str]| {
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-nostdlib", "-x", "c", "/dev/null", "-x", "none"]);
        cc.arg(format!("-Wl,-soname,{soname}")).args(more).arg("-o").arg(file);
        run(&mut cc, "gcc");
    };
    let dir = root.join(LIBRARIES);
    let v3 = "glibc-hwcaps/x86-64-v3";
    fs::create_dir_all(dir.join(v3)).expect("a directory");
    library(&dir.join(v3).join("libisa.so.1"), "libisa.so.1", &["-Wl,-z,x86-64-v3"]);
    library(&dir.join("libisa.so.1"), "libisa.so.1", &["-Wl,-z,x86-64-baseline"]);
    let i386 = root.join("opt/i386");
    fs::create_dir_all(&i386).expect("a directory");
    let libc = root.join("libc.so.6");
    library(&libc, "libc.so.6", &["-m32"]);
    let libc = libc.to_str().expect("UTF-8");
    library(&i386.join("libisa.so.1.0"), "libisa.so.1", &["-m32", "-Wl,--no-as-needed", libc]);
    fs::write(root.join("etc/ld.so.conf.d/i386.conf"), "/opt/i386\n").expect("written");
}

/// Returns `tree` with its libc6 attributed to the package that the root was made from.
fn with_origin(mut tree: FileTree, root: &Path, suite: &'static str) -> FileTree {
    let deb = Suite::new(suite).deb("libc-bin");
    let version = stdout(Command::new("dpkg-deb").arg("-f").arg(deb).arg("Version"), "dpkg");
    let entry = tree.get_mut("usr/sbin/ldconfig").unwrap_or_else(|| panic!("{root:?} has ldconfig"));
    entry.meta.origin = Origin::Package(format!("libc-bin={}", version.trim()).into());
    tree
}

fn compute(tree: &FileTree, reader: &dyn ContentReader, known: &Libraries) -> (Libraries, LdCache) {
    let libraries = scan(tree, reader, Arch::Amd64, known).expect("scanned");
    let cache = write(tree, reader, Arch::Amd64, &libraries, &generator(tree)).expect("written");
    (libraries, cache)
}

/// Runs ldconfig on `root` and compares the cache and every symlink with ours.
fn assert_equal_to_ldconfig(root: &Path, suite: &'static str) -> LdCache {
    let tree = with_origin(tree_of(root), root, suite);
    let start = Instant::now();
    let (libraries, ours) = compute(&tree, &ParallelReader, &Libraries::default());
    eprintln!("{suite}: {} libraries in {:?}", libraries.0.len(), start.elapsed());
    let cached = postcard::to_allocvec(&libraries).expect("serialized");
    let known = postcard::from_bytes(&cached).expect("read back");
    assert_eq!(compute(&tree, &NoLibraries, &known), (libraries, ours.clone()), "nothing is read twice");

    let mut wanted = links(root);
    for path in &ours.stale {
        wanted.remove(path.as_str()).expect("there was a link");
    }
    let new = ours.entries.iter().filter_map(|(path, entry)| Some((path.to_string(), entry.link_target()?.to_owned())));
    wanted.extend(new);
    run(chrooted(&root.join("usr/sbin/ldconfig")).arg("-r").arg(root).env("LC_ALL", "C"), "libc-bin");
    let theirs: BTreeMap<String, String> = links(root);
    assert_eq!(wanted, theirs, "the same links");
    let cache = fs::read(root.join("etc/ld.so.cache")).expect("ldconfig's cache");
    let bytes = cache_of(&ours);
    let differ = bytes.iter().zip(&cache).position(|(a, b)| a != b);
    assert!(bytes == cache, "{} and {} bytes, first difference at {differ:?}", bytes.len(), cache.len());
    ours
}

fn cache_of(cache: &LdCache) -> &[u8] {
    let (_, entry) = cache.entries.iter().find(|(path, _)| path.as_str() == "etc/ld.so.cache").expect("a cache");
    entry.inline().expect("inline")
}

/// Reads only configuration.
struct NoLibraries;

impl ContentReader for NoLibraries {
    fn visit(
        &self,
        contents: &[&kiln_tree::Content],
        visit: &(dyn Fn(usize, &[u8]) + Sync),
    ) -> Result<(), kiln_tree::ReadError> {
        assert!(contents.iter().all(|content| content.size < 4096), "a library is read again");
        LocalReader.visit(contents, visit)
    }
}

fn judge(suite: &'static str, libssl: &str) {
    let root = root(suite, libssl);
    let plain = assert_equal_to_ldconfig(root.path(), suite);
    assert!(plain.stale.is_empty());
    assert_eq!(plain.entries.len(), 1, "packages bring their own SONAME links");
    fs::remove_file(root.path().join("etc/ld.so.cache")).expect("removed");

    add_oddities(root.path());
    add_foreign_libraries(root.path());
    let odd = assert_equal_to_ldconfig(root.path(), suite);
    let made: Vec<&str> = odd.entries.iter().map(|(path, _)| path.name()).collect();
    assert!(made.contains(&"libseccomp.so.2") && made.contains(&"libcap.so.2"), "{made:?}");
    assert_eq!(odd.stale.iter().map(|path| path.name()).collect::<Vec<_>>(), ["libgone.so.1"]);

    // The host's ldconfig reads it.
    let file = root.path().join("cache");
    fs::write(&file, cache_of(&odd)).expect("written");
    let mut ldconfig = Command::new("ldconfig");
    // It is not in the PATH of an ordinary user.
    ldconfig.env("PATH", "/usr/sbin:/sbin").env("LC_ALL", "C");
    let listing = stdout(ldconfig.arg("-p").arg("-C").arg(&file), "libc-bin");
    for line in [
        "\tlibc.so.6 (libc6,x86-64) => /lib/x86_64-linux-gnu/libc.so.6",
        "\tlibz.so.1 (libc6,x86-64, hwcap: \"x86-64-v3\") => /lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libz.so.1.3.1",
        "\tlibisa.so.1 (libc6) => /opt/i386/libisa.so.1",
        "\tlibzstd.so.1 (libc6,x86-64) => /srv/lib/libzstd.so.1",
    ] {
        assert!(listing.lines().any(|found| found == line), "{line:?} is in\n{listing}");
    }
    assert!(listing.contains("Cache generated by: ldconfig (Debian GLIBC 2."), "{listing}");
}

#[test]
fn bookworms_cache_is_as_ldconfig_writes_it() {
    judge("bookworm", "libssl3");
}

#[test]
fn trixies_cache_is_as_ldconfig_writes_it() {
    judge("trixie", "libssl3t64");
}
