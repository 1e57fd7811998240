//! base-files, PAM, nsswitch.conf and os-release, compared with the suite's own maintainer scripts
//! and tools, run on a copy of the same files.

use kiln_testing::debian_root;

use debian_root::{SUITES, copy_of, links, load, real_root, run, scripts_of, tool};
use kiln_finalize::{accounts, base_files, ca_certificates, identity, nsswitch, os_release, pam, units};
use kiln_profile::{Accounts, Image, Units};
use kiln_tree::{ContentSource, Digest, Entry, FileTree, Kind, LocalReader};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

fn text(tree: &FileTree, path: &str) -> String {
    let entry = tree.get(path).unwrap_or_else(|| panic!("{path} is missing"));
    String::from_utf8(entry.inline().expect("inline").to_vec()).expect("text")
}

/// Runs a postinst on `dir` as dpkg does for a new package; omits changes of owners, which require
/// root.
fn configure(suite: &str, package: &str, dir: &Path) {
    let scripts = scripts_of(suite, package);
    let bin = scripts.path().join("bin");
    fs::create_dir(&bin).expect("a directory");
    fs::write(bin.join("chown"), "#!/bin/sh\nexit 0\n").expect("written");
    fs::set_permissions(bin.join("chown"), fs::Permissions::from_mode(0o755)).expect("executable");
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", bin.display());
    let mut command = Command::new("sh");
    command.arg("-c").arg("umask 022; exec \"$1\" configure ''").arg("dpkg").arg(scripts.path().join("postinst"));
    command.env("DPKG_ROOT", dir).env("DPKG_MAINTSCRIPT_PACKAGE", package).env("PATH", path);
    run(&mut command);
}

#[test]
fn base_files_are_put_in_place_as_by_its_postinst() {
    let made = ["mnt", "srv", "opt", "etc/opt", "var/opt", "media", "var/mail", "usr/local"];
    let copied = ["root/.profile", "root/.bashrc", "etc/profile", "etc/motd"];
    for suite in SUITES {
        let root = real_root(suite);
        let copy =
            copy_of(&root, &["usr/share/base-files", "var/run", "var/lock", "var/spool", "var/mail", "root", "run"]);
        for dir in ["etc", "var/spool", "var/log", "root", "run"] {
            fs::create_dir_all(copy.path().join(dir)).expect("a directory");
        }
        let mut tree = load(copy.path());
        base_files::finalize(&mut tree, &LocalReader).expect("made");
        configure(suite, "base-files", copy.path());
        let theirs = load(copy.path());
        if suite == "bookworm" {
            assert_eq!(tree.remove("usr/local/libexec").len(), 1, "only Debian 13 and later have it");
        }
        for dir in made {
            let ours: Vec<_> =
                tree.below(dir).map(|(path, entry)| (path.clone(), entry.kind.clone(), entry.meta.mode)).collect();
            let judge: Vec<_> =
                theirs.below(dir).map(|(path, entry)| (path.clone(), entry.kind.clone(), entry.meta.mode)).collect();
            assert_eq!(ours, judge, "{suite}: {dir}");
            let mode = |tree: &FileTree| tree.get(dir).map(|entry| entry.meta.mode);
            assert_eq!(mode(&tree), mode(&theirs), "{suite}: {dir}");
        }
        for path in copied {
            assert_eq!(text(&tree, path), text(&theirs, path), "{suite}: {path}");
        }
        assert_eq!(links(&tree, "var"), links(&theirs, "var"), "{suite}: links");
        assert_eq!(links(&tree, "var").len(), 3);
    }
}

#[test]
fn shells_are_those_of_update_shells() {
    for suite in SUITES {
        let root = real_root(suite);
        let copy = copy_of(&root, &["usr/share/debianutils", "usr/bin/bash", "usr/bin/sh"]);
        for dir in ["etc", "var/lib"] {
            fs::create_dir_all(copy.path().join(dir)).expect("a directory");
        }
        let mut tree = load(copy.path());
        base_files::finalize(&mut tree, &LocalReader).expect("made");
        run(Command::new("sh").arg(root.join("usr/sbin/update-shells")).arg("--root").arg(copy.path()));
        let theirs = fs::read_to_string(copy.path().join("etc/shells")).expect("shells");
        assert_eq!(text(&tree, "etc/shells"), theirs, "{suite}");
        assert!(theirs.contains("/usr/bin/bash"), "{suite}");
    }
}

/// Runs the suite's pam-auth-update with the host's perl and debconf (with a separate database).
fn pam_auth_update(root: &Path, dir: &Path) {
    let work = tempfile::tempdir().expect("a temporary directory");
    let at = work.path().display();
    let config = format!(
        "Config: configdb\nTemplates: templatedb\n\nName: configdb\nDriver: File\nFilename: {at}/config.dat\n\n\
         Name: templatedb\nDriver: File\nFilename: {at}/templates.dat\n"
    );
    fs::write(work.path().join("debconf.conf"), config).expect("written");
    // --root applies to all its paths except that of the templates.
    let script = fs::read_to_string(root.join("usr/sbin/pam-auth-update")).expect("the script");
    let templates = format!("'{}/usr/share/pam/common-'", root.display());
    assert!(script.contains("'/usr/share/pam/common-'"));
    let path = work.path().join("pam-auth-update");
    fs::write(&path, script.replace("'/usr/share/pam/common-'", &templates)).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
    for made in ["etc/pam.d", "var/lib/pam"] {
        fs::create_dir_all(dir.join(made)).expect("a directory");
    }
    let mut command = Command::new(&path);
    command.arg("--root").arg(dir).args(["--package", "--force"]);
    command.env("DEBCONF_SYSTEMRC", work.path().join("debconf.conf")).env("DEBIAN_FRONTEND", "noninteractive");
    run(&mut command);
}

#[test]
fn pam_files_are_those_of_pam_auth_update() {
    let extra = [
        (
            "first",
            "Name: First\nDefault: yes\nPriority: 900\nConflicts: loser\nAuth-Type: Primary\nAuth:\n\t[success=end default=ignore]\tpam_first.so  try_first_pass   x\n\t[default=die]\tpam_first2.so\nAuth-Initial:\n\t[success=end default=ignore]\tpam_first.so\n\t[default=die]\tpam_first2.so\nSession-Type: Additional\nSession:\n\toptional\tpam_first.so\n",
        ),
        ("loser", "Name: Loser\nDefault: yes\nPriority: 800\nAuth-Type: Primary\nAuth:\n\trequired\tpam_loser.so\n"),
        (
            "more",
            "Name: More\nDefault: yes\nPriority: 128\nAuth-Type: Additional\nAuth-Final:\n\t[success=end default=ignore]\tpam_more.so a\n\toptional pam_more2.so\n",
        ),
        ("off", "Name: Off\nDefault: no\nPriority: 128\nAuth-Type: Additional\nAuth:\n\toptional\tpam_off.so\n"),
    ];
    for suite in SUITES {
        let root = real_root(suite);
        for with_extra in [false, true] {
            let copy = copy_of(&root, &["usr/share/pam", "usr/share/pam-configs"]);
            for (name, profile) in extra.iter().filter(|_| with_extra) {
                fs::write(copy.path().join("usr/share/pam-configs").join(name), profile).expect("written");
            }
            let mut tree = load(copy.path());
            pam::finalize(&mut tree, &LocalReader).expect("made");
            pam_auth_update(&root, copy.path());
            for kind in ["auth", "account", "password", "session", "session-noninteractive"] {
                let path = format!("etc/pam.d/common-{kind}");
                let theirs = fs::read_to_string(copy.path().join(&path)).expect("a PAM file");
                assert_eq!(text(&tree, &path), theirs, "{suite}: {path}");
                assert!(theirs.contains("pam_unix.so"), "{suite}: {path}");
            }
        }
    }
}

#[test]
fn nsswitch_is_what_the_libnss_packages_make_of_it() {
    for suite in SUITES {
        let root = real_root(suite);
        for modules in [&["myhostname", "resolve", "systemd"][..], &["resolve"], &[]] {
            let copy = copy_of(&root, &["usr/share/libc-bin"]);
            let dir = copy.path();
            fs::create_dir_all(dir.join("etc")).expect("a directory");
            for module in modules {
                let library = dir.join(format!("usr/lib/x86_64-linux-gnu/libnss_{module}.so.2"));
                fs::create_dir_all(library.parent().expect("a parent")).expect("a directory");
                fs::write(library, "").expect("written");
            }
            let mut tree = load(dir);
            nsswitch::finalize(&mut tree, &LocalReader).expect("made");
            fs::copy(dir.join("usr/share/libc-bin/nsswitch.conf"), dir.join("etc/nsswitch.conf")).expect("copied");
            for module in modules {
                let package = format!("libnss-{module}");
                fs::write(dir.join(format!("etc/nsswitch.conf.nss.{package}-will-install")), "").expect("written");
                configure(suite, &package, dir);
            }
            let theirs = fs::read_to_string(dir.join("etc/nsswitch.conf")).expect("nsswitch.conf");
            assert_eq!(text(&tree, "etc/nsswitch.conf"), theirs, "{suite} with {modules:?}");
        }
    }
}

#[test]
fn a_shell_reads_the_image_from_os_release() {
    for suite in SUITES {
        let root = real_root(suite);
        let copy = copy_of(&root, &["usr/lib/os-release"]);
        let mut tree = load(copy.path());
        let image = Image { id: "kiln-worker".into(), version: "1.0 \"`$(x)\\".into() };
        os_release::finalize(&mut tree, &LocalReader, &image).expect("made");
        assert_eq!(tree.get("etc/os-release").and_then(|entry| entry.link_target()), Some("../usr/lib/os-release"));
        fs::write(copy.path().join("new"), text(&tree, os_release::PATH)).expect("written");
        let script = ". \"$1\" && printf '%s|%s|%s' \"$IMAGE_ID\" \"$IMAGE_VERSION\" \"$VERSION_CODENAME\"";
        let read = run(Command::new("sh").args(["-c", script, "sh"]).arg(copy.path().join("new")));
        assert_eq!(read, format!("{}|{}|{suite}", image.id, image.version));
        let mut bash = tool(&root, "usr/bin/bash");
        let read = run(bash.args(["-c", script, "sh"]).arg(copy.path().join("new")));
        assert_eq!(read, format!("{}|{}|{suite}", image.id, image.version));
    }
}

/// Makes files unreadable unless a finalizer declares that it reads them.
fn only_declared(tree: &mut FileTree) {
    let reads = kiln_finalize::reads();
    let declared = |path: &str| {
        let mut rest = reads.iter().filter_map(|place| path.strip_prefix(place));
        rest.any(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let paths: Vec<_> = tree.iter().map(|(path, _)| path.clone()).filter(|path| !declared(path.as_str())).collect();
    for path in paths {
        if let Some(Entry { kind: Kind::File { content, .. }, .. }) = tree.get_mut(path.as_str()) {
            content.source = ContentSource::Host(Arc::new(format!("/nonexistent/{path}").into()));
            content.digest = Digest::of(path.as_str().as_bytes());
        }
    }
}

/// Runs all finalizers of this crate, one after the other, on the contents of all packages. They
/// cannot read files that they do not declare: a build with a warm cache would have to open more
/// files than necessary.
#[test]
fn the_finalizers_fit_together_on_a_whole_root() {
    for suite in SUITES {
        let mut tree = load(&real_root(suite));
        only_declared(&mut tree);
        let reader = &LocalReader;
        let image = Image { id: "kiln-test".into(), version: "1".into() };
        let lists = Units { default_target: "multi-user.target".into(), ..Units::default() };
        base_files::finalize(&mut tree, reader).expect("base files");
        let warnings = accounts::finalize(&mut tree, reader, &Accounts::default(), 20_000).expect("accounts");
        assert!(warnings.is_empty(), "{suite}: {warnings:?}");
        os_release::finalize(&mut tree, reader, &image).expect("os-release");
        identity::finalize(&mut tree).expect("identity");
        nsswitch::finalize(&mut tree, reader).expect("nsswitch");
        pam::finalize(&mut tree, reader).expect("pam");
        units::finalize(&mut tree, reader, &lists).expect("units");
        assert!(ca_certificates::finalize(&mut tree, reader).expect("certificates") > 100);
        let target = |path: &str| tree.get(path).and_then(|entry| entry.link_target()).map(str::to_owned);
        assert_eq!(target("etc/systemd/system/systemd-firstboot.service").as_deref(), Some("/dev/null"), "{suite}");
        assert_eq!(target("etc/resolv.conf").as_deref(), Some("../run/systemd/resolve/stub-resolv.conf"), "{suite}");
        assert_eq!(target("var/run").as_deref(), Some("/run"), "{suite}");
        assert!(text(&tree, "etc/pam.d/common-session").contains("pam_systemd.so"), "{suite}");
        let users = text(&tree, "etc/passwd");
        let gid =
            users.lines().find_map(|line| line.strip_prefix("messagebus:x:")?.split(':').nth(1)?.parse::<u32>().ok());
        let helper = &tree.get("usr/lib/dbus-1.0/dbus-daemon-launch-helper").expect("dbus is there").meta;
        assert_eq!((Some(helper.gid), helper.mode), (gid, 0o4754), "{suite}");
    }
}
