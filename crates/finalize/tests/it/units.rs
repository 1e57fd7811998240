//! Unit presets and enablement, compared with the suite's own systemctl.

use kiln_testing::debian_root;

use debian_root::{SUITES, copy_of, links, load, real_root, run, tool};
use kiln_finalize::units::{self, Scope};
use kiln_profile::Units;
use kiln_tree::LocalReader;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

const PARTS: [&str; 4] =
    ["etc/systemd", "usr/lib/systemd/system", "usr/lib/systemd/system-preset", "usr/lib/systemd/user"];
const USER_PRESETS: &str = "usr/lib/systemd/user-preset";

type Links = BTreeMap<String, String>;

/// systemd 252 of Debian 12 writes `/lib/systemd`, which is the same directory, and links the alias
/// of a linked unit to the file rather than to the link.
fn usr_merged(links: Links) -> Links {
    let merge = |target: String| match target.strip_prefix("/lib/") {
        Some(rest) => format!("/usr/lib/{rest}"),
        None if target == "/opt/k/k-linked.service" => "/etc/systemd/system/k-linked.service".into(),
        None => target,
    };
    links.into_iter().map(|(path, target)| (path, merge(target))).collect()
}

fn systemctl(root: &Path, dir: &Path, args: &[&str]) {
    let mut command = tool(root, "usr/bin/systemctl");
    run(command.arg("--quiet").arg(format!("--root={}", dir.display())).args(args));
}

fn judged(dir: &Path) -> Links {
    let tree = load(dir);
    usr_merged(links(&tree, "etc/systemd"))
}

fn assert_same(ours: &Links, theirs: &Links, what: &str) {
    let only = |a: &Links, b: &Links| -> Vec<String> {
        a.iter()
            .filter(|(path, target)| b.get(*path) != Some(target))
            .map(|(path, target)| format!("{path} -> {target}"))
            .collect()
    };
    assert!(ours == theirs, "{what}: only ours {:#?}, only systemctl's {:#?}", only(ours, theirs), only(theirs, ours));
}

/// A copy with every unit of the real packages; `prepare` adds to it.
fn copy(root: &Path, prepare: &dyn Fn(&Path)) -> tempfile::TempDir {
    let copy = copy_of(root, &[&PARTS[..], &[USER_PRESETS]].concat());
    prepare(copy.path());
    copy
}

fn compare_presets(prepare: &dyn Fn(&Path), least: usize) {
    for suite in SUITES {
        let root = real_root(suite);
        let copy = copy(&root, prepare);
        let mut tree = load(copy.path());
        units::preset_all(&mut tree, &LocalReader, Scope::System).expect("presets apply");
        units::preset_all(&mut tree, &LocalReader, Scope::User).expect("presets apply");
        systemctl(&root, copy.path(), &["preset-all"]);
        systemctl(&root, copy.path(), &["--global", "preset-all"]);
        let theirs = judged(copy.path());
        assert_same(&usr_merged(links(&tree, "etc/systemd")), &theirs, suite);
        assert!(theirs.len() >= least, "{suite}: only {} links", theirs.len());
    }
}

#[test]
fn presets_of_the_real_packages_give_the_same_links() {
    compare_presets(&|_| {}, 15);
}

fn write(dir: &Path, path: &str, text: &str) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
    fs::write(path, text).expect("written");
}

fn link(dir: &Path, path: &str, target: &str) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
    symlink(target, path).expect("linked");
}

/// Units with everything that `[Install]` and presets support, besides the real ones.
fn every_case(dir: &Path) {
    let unit = |name: &str, text: &str| write(dir, &format!("usr/lib/systemd/system/{name}"), text);
    unit(
        "k-plain.service",
        "[Install]\nWantedBy=multi-user.target \\\n  basic.target\n# no\nRequiredBy=k-need.target\n",
    );
    unit(
        "k-alias.service",
        "[Install]\nAlias=k-other.service dbus-org.k.service\nAlso=k-also.socket k-masked.service k-none.service\n",
    );
    unit("k-also.socket", "[Install]\nWantedBy=sockets.target\n");
    unit("k-masked.service", "[Install]\nWantedBy=multi-user.target\n");
    link(dir, "etc/systemd/system/k-masked.service", "/dev/null");
    unit("k-inst@.service", "[Install]\nDefaultInstance=one\nWantedBy=multi-user.target\nAlias=k-instalias@.service\n");
    unit("k-many@.service", "[Install]\nWantedBy=k-%p-%i.target\n");
    unit("k-noinst@.service", "[Install]\nWantedBy=multi-user.target\n");
    unit("k-perinst@.service", "[Install]\nWantedBy=k-puller@.target\n");
    unit("k-reset.service", "[Install]\nWantedBy=gone.target\nWantedBy=\nWantedBy=\"k-kept.target\"\n");
    unit("k-dropin.service", "[Service]\nType=oneshot\n");
    write(dir, "usr/lib/systemd/system/k-dropin.service.d/10-a.conf", "[Install]\nWantedBy=k-first.target\n");
    write(dir, "etc/systemd/system/k-dropin.service.d/10-a.conf", "[Install]\nWantedBy=k-replaced.target\n");
    write(dir, "etc/systemd/system/k-dropin.service.d/20-b.conf", "[Install]\nWantedBy=k-second.target\n");
    unit("k-off.service", "[Install]\nWantedBy=multi-user.target\nAlias=k-off-alias.service\n");
    link(dir, "etc/systemd/system/multi-user.target.wants/k-off.service", "/usr/lib/systemd/system/k-off.service");
    link(dir, "etc/systemd/system/k-off-alias.service", "/usr/lib/systemd/system/k-off.service");
    link(dir, "etc/systemd/system/k-only.target.wants/k-off.service", "../k-off-alias.service");
    unit("k-ignored.service", "[Install]\nWantedBy=multi-user.target\n");
    link(
        dir,
        "etc/systemd/system/multi-user.target.wants/k-ignored.service",
        "/usr/lib/systemd/system/k-ignored.service",
    );
    unit("k-mount.mount", "[Install]\nAlias=no.mount\nRequiredBy=local-fs.target\n");
    unit("k-oldstyle.service", "[Install]\nAlias=k-old.target.wants/k-oldstyle.service\n");
    link(dir, "usr/lib/systemd/system/k-vendoralias.service", "k-plain.service");
    write(dir, "opt/k/k-linked.service", "[Install]\nWantedBy=multi-user.target\nAlias=k-linked-alias.service\n");
    link(dir, "etc/systemd/system/k-linked.service", "/opt/k/k-linked.service");
    write(dir, "etc/systemd/system/k-local.service", "[Install]\nWantedBy=multi-user.target\n");
    write(dir, "usr/lib/systemd/user/k-user.service", "[Install]\nWantedBy=default.target\n");
    write(dir, "usr/lib/systemd/user/k-useroff.service", "[Install]\nWantedBy=default.target\n");
    write(dir, "etc/systemd/user-preset/10.preset", "disable k-useroff.*\n");
    write(
        dir,
        "etc/systemd/system-preset/10-k.preset",
        "# presets\nenable k-many@.service a b\ndisable k-off.*\nignore k-ign?red.service\nenable k-*\ndisable containerd.service\n",
    );
}

#[test]
fn every_kind_of_unit_gives_the_same_links() {
    compare_presets(&every_case, 35);
}

#[test]
fn enable_disable_mask_and_default_target_give_the_same_links() {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let lists = Units {
        enable: set(&["console-getty.service", "serial-getty@ttyS0.service", "k-off.service", "k-linked.service"]),
        disable: set(&[
            "getty@.service",
            "remote-fs.target",
            "k-plain.service",
            "k-alias.service",
            "k-vendoralias.service",
        ]),
        mask: set(&["systemd-firstboot.service", "fstrim.timer", "tmp.mount"]),
        default_target: "rescue.target".into(),
        ..Units::default()
    };
    for suite in SUITES {
        let root = real_root(suite);
        let copy = copy(&root, &every_case);
        let mut tree = load(copy.path());
        units::finalize(&mut tree, &LocalReader, &lists).expect("units are set up");
        systemctl(&root, copy.path(), &["preset-all"]);
        systemctl(&root, copy.path(), &["--global", "preset-all"]);
        for (verb, units) in [("enable", &lists.enable), ("disable", &lists.disable), ("mask", &lists.mask)] {
            let units: Vec<&str> = units.iter().map(String::as_str).collect();
            systemctl(&root, copy.path(), &[&[verb][..], &units[..]].concat());
        }
        systemctl(&root, copy.path(), &["set-default", &lists.default_target]);
        assert_same(&usr_merged(links(&tree, "etc/systemd")), &judged(copy.path()), suite);
    }
}
