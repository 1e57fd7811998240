//! Namespaces of a test's own, which any user can make.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;
use std::sync::OnceLock;

/// What an ordinary user needs of the kernel.
const REFUSED: &str = "this test needs namespaces. Root can make them; others need user namespaces, and this machine refuses these. Allow them \
    (sysctl user.max_user_namespaces=10000, where there are such also kernel.unprivileged_userns_clone=1 and \
    kernel.apparmor_restrict_unprivileged_userns=0; in a container: a seccomp profile that lets unshare(2) through; never in a chroot), \
    or run the tests as root";

/// `unshare` with `options`, such as `--net`: as root, or else as the root of a user namespace.
pub fn unshare(options: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.env("PATH", path());
    if !is_root() {
        static REFUSAL: OnceLock<Option<String>> = OnceLock::new();
        let refusal = REFUSAL.get_or_init(|| {
            let output = Command::new("unshare").args(["--user", "--map-root-user", "--mount", "true"]).output();
            let output = output.expect("unshare starts; it is in Debian's util-linux");
            (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).trim().to_owned())
        });
        assert!(refusal.is_none(), "{REFUSED} ({})", refusal.as_deref().unwrap_or_default());
        command.args(["--user", "--map-root-user"]);
    }
    command.args(options);
    command
}

/// `nsenter` into `namespaces`, such as `--net`, of a process that [`unshare`] started.
pub fn enter(process: u32, namespaces: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    command.env("PATH", path()).arg(format!("--target={process}"));
    if !is_root() {
        command.args(["--user", "--preserve-credentials"]);
    }
    command.args(namespaces).arg("--");
    command
}

fn is_root() -> bool {
    fs::metadata("/proc/self").expect("/proc").uid() == 0
}

/// Also what is only in root's: an ordinary user calls ip and iptables here.
fn path() -> String {
    std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin"
}

/// As [`unshare`], for a program of Kubernetes: bash runs `script`, which has the functions of `room.sh`; arguments follow.
pub fn room(options: &[&str], script: &str) -> Command {
    let mut command = unshare(options);
    command.args(["--", "bash", "-c", &format!("{}{script}", include_str!("room.sh")), "room"]);
    command
}
