//! The account files, against the suite's own pwconv, grpconv and systemd-sysusers.

use kiln_testing::debian_root;

use debian_root::{SUITES, copy_of, load, real_root, run, tool};
use kiln_finalize::accounts::{self, ACCOUNTS};
use kiln_profile::Accounts;
use kiln_tree::{FileTree, LocalReader};
use std::fs;
use std::path::Path;
use std::process::Command;

const EPOCH: u64 = 1_700_000_000;
const EPOCH_DAYS: u32 = 19_675;
const PARTS: [&str; 5] =
    ["etc/login.defs", "usr/lib/sysusers.d", "usr/share/base-passwd", "usr/lib/os-release", "usr/bin/bash"];
const FILES: [&str; 4] = ["passwd", "group", "shadow", "gshadow"];

/// Returns what the original tools make of `dir`, which has base-passwd's master files.
fn judge(root: &Path, dir: &Path) -> [String; 4] {
    fs::create_dir_all(dir.join("etc")).expect("etc");
    for file in ["passwd", "group"] {
        fs::copy(dir.join(format!("usr/share/base-passwd/{file}.master")), dir.join("etc").join(file))
            .expect("a master file");
    }
    // An existing file keeps its owner; a new one would be given to the group shadow, which
    // requires root.
    for file in ["shadow", "gshadow"] {
        fs::write(dir.join("etc").join(file), "").expect("an empty file");
    }
    let epoch = EPOCH.to_string();
    let run_tool = |program: &str, args: &[&std::ffi::OsStr]| {
        let mut command = tool(root, program);
        command.env("SOURCE_DATE_EPOCH", &epoch).args(args);
        run(&mut command)
    };
    if run(Command::new("id").arg("-u")).trim() == "0" {
        for program in ["usr/sbin/pwconv", "usr/sbin/grpconv"] {
            run_tool(program, &["-R".as_ref(), dir.as_os_str()]);
        }
    } else {
        // pwconv changes its root directory: run it as root of a user namespace.
        for program in ["usr/sbin/pwconv", "usr/sbin/grpconv"] {
            let inner = tool(root, program);
            let mut command = Command::new("unshare");
            command.arg("-r").arg(inner.get_program()).args(inner.get_args()).arg("-R").arg(dir);
            run(command.env("SOURCE_DATE_EPOCH", &epoch));
        }
    }
    let root_option = std::ffi::OsString::from(format!("--root={}", dir.display()));
    run_tool("usr/bin/systemd-sysusers", &[&root_option]);
    FILES.map(|file| {
        let path = dir.join("etc").join(file);
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("mode");
        fs::read_to_string(path).expect("an account file")
    })
}

fn ours(tree: &mut FileTree) -> [String; 4] {
    accounts::finalize(tree, &LocalReader, &Accounts::default(), EPOCH_DAYS).expect("accounts");
    FILES.map(|file| {
        let entry = tree.get(&format!("etc/{file}")).expect("an account file");
        String::from_utf8(entry.inline().expect("inline").to_vec()).expect("text")
    })
}

fn compare(root: &Path, dir: &Path, what: &str) {
    let ours = ours(&mut load(dir));
    let theirs = judge(root, dir);
    for ((ours, theirs), file) in ours.iter().zip(&theirs).zip(FILES) {
        assert_eq!(ours, theirs, "{what}: /etc/{file}");
    }
    assert!(theirs[0].contains("messagebus:x:"), "{what}: the packages' own users are there");
}

#[test]
fn the_four_files_equal_those_of_the_original_tools() {
    for suite in SUITES {
        let root = real_root(suite);
        let copy = copy_of(&root, &PARTS);
        compare(&root, copy.path(), suite);
    }
}

/// systemd-sysusers, given the accounts of postinst scripts as files, has the same result.
#[test]
fn accounts_of_postinst_scripts_are_placed_as_files_of_sysusers_would_be() {
    for suite in SUITES {
        let root = real_root(suite);
        let witnesses: Vec<&str> = ACCOUNTS.iter().map(|package| package.witness).collect();
        let copy = copy_of(&root, &[&PARTS[..], &witnesses[..], &["usr/bin/udevadm"]].concat());
        let ours = ours(&mut load(copy.path()));
        let declared =
            run(Command::new("sh").arg("-c").arg("cat \"$1\"/usr/lib/sysusers.d/*.conf").arg("cat").arg(copy.path()));
        let mut added = 0;
        for package in ACCOUNTS.iter().filter(|package| copy.path().join(package.witness).symlink_metadata().is_ok()) {
            let known = |line: &str| {
                let name = line.split_whitespace().nth(1).expect("a name");
                declared.lines().any(|line| line.split_whitespace().nth(1) == Some(name))
            };
            let lines: Vec<&str> = package.lines.lines().filter(|line| !known(line)).collect();
            if !lines.is_empty() {
                fs::write(copy.path().join("usr/lib/sysusers.d").join(package.file), lines.join("\n") + "\n")
                    .expect("written");
                added += lines.len();
            }
        }
        assert!(added >= 2, "{suite}: nfs-common and chrony create accounts in their postinst");
        let theirs = judge(&root, copy.path());
        for ((ours, theirs), file) in ours.iter().zip(&theirs).zip(FILES) {
            assert_eq!(ours, theirs, "{suite}: /etc/{file}");
        }
        assert!(ours[1].contains("\nkvm:x:"), "{suite}: udev's groups are there");
    }
}

/// Every kind of line in sysusers.d(5).
#[test]
fn a_file_with_every_kind_of_line_gives_the_same_accounts() {
    let lines = "\
g alpha 950\n\
g beta 998\n\
g taken 0\n\
g frompath /etc/owned\n\
u gamma - \"Gamma, with words\" /var/lib/gamma /bin/sh\n\
u delta 955\n\
u epsilon 0:beta\n\
u zeta -:adm\n\
u eta 4:65534\n\
u iota 960:950 \"%% and %o %w\"\n\
u alpha\n\
u kappa -:gamma\n\
u lambda 999\n\
m gamma kvm\n\
m newuser newgroup\n\
m gamma newgroup\n\
m root adm\n\
u root 0\n";
    for suite in SUITES {
        let root = real_root(suite);
        let copy = copy_of(&root, &PARTS);
        fs::create_dir_all(copy.path().join("etc/sysusers.d")).expect("a directory");
        fs::write(copy.path().join("etc/owned"), "").expect("a file");
        fs::write(copy.path().join("etc/sysusers.d/every.conf"), lines).expect("written");
        // An administrator's file replaces the vendor's.
        fs::write(copy.path().join("etc/sysusers.d/systemd-network.conf"), "u systemd-network 901 \"Mine\"\n")
            .expect("written");
        compare(&root, copy.path(), suite);

        fs::write(copy.path().join("etc/sysusers.d/ranges.conf"), "r - 300-330\nr - 700-705\n").expect("written");
        for file in FILES {
            let _ = fs::remove_file(copy.path().join("etc").join(file));
            let _ = fs::remove_file(copy.path().join("etc").join(format!("{file}-")));
        }
        compare(&root, copy.path(), &format!("{suite} with ranges"));
    }
}
