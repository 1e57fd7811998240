//! The shipped overlays, each in an image.

use crate::image::shared::{arguments, kept, kiln};
use crate::image::tools::{run, text, tool};
use kiln_manifest::{FileRecord, Manifest};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A directory with the shipped profiles and overlays.
fn place(name: &str) -> PathBuf {
    let directory = kept(name);
    // A link would lead out of the project.
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("overlays");
    run(tool("cp", "coreutils").arg("-r").arg(shipped).arg(directory.join("overlays")));
    directory
}

fn kiln_inspect(directory: &Path, more: &[&str]) -> String {
    text(kiln(directory).args(["inspect", "out"]).args(more))
}

/// The contents of `path` in the image.
fn record(directory: &Path, path: &str) -> FileRecord {
    let listing = kiln_inspect(directory, &["--json"]);
    let mut records = listing.lines().map(|line| serde_json::from_str::<FileRecord>(line).expect("a record"));
    records.find(|record| record.path.as_str() == path).unwrap_or_else(|| panic!("/{path} is not in the image"))
}

fn verify(directory: &Path, more: &[&str]) -> Command {
    let mut command = kiln(directory);
    command.args(["verify", "out"]).args(more);
    command
}

#[test]
fn debug_logs_in_at_the_console_and_is_not_for_production() {
    let directory = place("overlay-debug");
    let output = kiln(&directory).args(arguments("trixie")).args(["--overlay", "debug"]).output().expect("kiln starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("overlay debug is not for production: anybody at the console is root"), "{said}");

    for (unit, template) in
        [("getty@tty1.service", "getty@.service"), ("console-getty.service", "console-getty.service")]
    {
        const UNITS: &str = "usr/lib/systemd/system";
        let link = record(&directory, &format!("{UNITS}/multi-user.target.wants/{unit}"));
        assert_eq!(link.target, Some(format!("../{template}")));
        record(&directory, &format!("{UNITS}/{template}"));
        let drop_in = kiln_inspect(&directory, &[&format!("/{UNITS}/{unit}.d/50-debug.conf")]);
        assert!(drop_in.contains("\nExecStart=\nExecStart=-/usr/sbin/agetty --autologin root "), "{drop_in}");
    }
    record(&directory, "usr/sbin/agetty");
    // The overlay changes nothing else.
    assert_eq!(record(&directory, "etc/systemd/system/getty.target").target.as_deref(), Some("/dev/null"));
    // Trixie's login reads the directory with run-parts.
    assert!(kiln_inspect(&directory, &["/etc/profile"]).contains("run-parts --list"));
    record(&directory, "usr/bin/run-parts");
    record(&directory, "etc/profile.d/debug.sh");

    let manifest = Manifest::read(&directory.join("out")).expect("a manifest");
    assert_eq!(manifest.not_for_production.keys().collect::<Vec<_>>(), ["debug"]);
    let refused = verify(&directory, &[]).output().expect("kiln starts");
    let said = String::from_utf8_lossy(&refused.stdout);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("FAIL  production: 1 wrong\n        overlay debug is not for production: "), "{said}");
    run(&mut verify(&directory, &["--allow-debug"]));
}

/// With the packages whose maintainer scripts add themselves to nsswitch.conf.
#[test]
fn site_example_contains_what_a_site_needs() {
    let directory = place("overlay-site-example");
    // Makes the copy of the profiles.
    kiln(&directory);
    let profile = "extends: worker\noverlays: [site-example]\n\
                   debian: {packages: [libnss-myhostname, libnss-resolve, libnss-systemd]}\n";
    fs::write(directory.join("profiles/site.yaml"), profile).expect("written");
    let mut arguments = arguments("trixie");
    arguments[1] = "site";
    run(kiln(&directory).args(arguments));

    let authority = "usr/local/share/ca-certificates/site-example.crt";
    let authority = fs::read_to_string(directory.join("overlays/site-example/rootfs").join(authority)).expect("PEM");
    assert!(kiln_inspect(&directory, &["/etc/ssl/certs/ca-certificates.crt"]).contains(&authority));
    assert!(
        kiln_inspect(&directory, &["/etc/containerd/config.toml"])
            .contains("config_path = \"/etc/containerd/certs.d\"")
    );
    for (path, part) in [
        ("etc/containerd/certs.d/_default/hosts.toml", "\n[host.\"https://registry.site.example\"]\n"),
        ("etc/systemd/timesyncd.conf.d/50-site.conf", "\nNTP=ntp1.site.example ntp2.site.example\n"),
        ("etc/motd", "This node belongs to site.example."),
        ("etc/issue", "site.example: authorized use only\n"),
    ] {
        assert_eq!(record(&directory, path).origin.to_string(), "overlay site-example", "{path}");
        let text = kiln_inspect(&directory, &[&format!("/{path}")]);
        assert!(text.contains(part), "{path}: {text}");
    }
    run(&mut verify(&directory, &[]));

    let switch = kiln_inspect(&directory, &["/etc/nsswitch.conf"]);
    let services = |database: &str| {
        let lines = switch.lines().filter_map(|line| line.split_once(':')).filter(|(name, _)| *name == database);
        lines.map(|(_, services)| services.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    assert_eq!(services("hosts"), ["files myhostname resolve [!UNAVAIL=return] dns"]);
    assert_eq!(services("passwd"), ["files systemd"]);
}
