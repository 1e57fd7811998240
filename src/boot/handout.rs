//! What a guest is given at boot so that nothing for demonstrations or tests is in the image.
//!
//! QEMU's fw_cfg carries a systemd credential named `tmpfiles.extra` (systemd.system-credentials(7)): lines of
//! tmpfiles.d(5) that systemd-tmpfiles obeys before any service starts. They make files; that is enough.

use kiln_profile::Arch;
use std::fmt::Write as _;

/// Runs kubelet without a cluster: the image's own configuration, less what needs an API server or its CA.
///
/// Nobody can authenticate then, so that `AlwaysAllow` allows nobody; health is on another port, of the loopback interface.
const STANDALONE: &str = "\
KUBELET_KUBECONFIG_ARGS=
KUBELET_EXTRA_ARGS=--anonymous-auth=false --authentication-token-webhook=false --authorization-mode=AlwaysAllow \
                          --client-ca-file=
";

/// `/etc/rc.local`, which `rc-local.service` runs: hands over to a unit of its own, so that the boot can end.
const RC_LOCAL: &str = "\
#!/bin/bash
exec systemd-run --quiet --unit=kiln-report --collect /bin/bash /run/kiln/report
";

/// The line before a script's first: firmware writes to every serial port, too.
pub(super) const BEGIN: &str = "kiln-report:";

/// Files for one boot of a guest.
#[derive(Debug, Clone, Default)]
pub struct Handout {
    standalone: bool,
    script: Option<String>,
    seed: Option<String>,
}

impl Handout {
    /// Nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// Makes kubelet run standalone, as `kiln boot --demo` does.
    #[must_use]
    pub fn standalone(mut self) -> Self {
        self.standalone = true;
        self
    }

    /// A seed for the agent, as the credential `kiln.seed`.
    #[must_use]
    pub fn seed(mut self, seed: impl Into<String>) -> Self {
        self.seed = Some(seed.into());
        self
    }

    /// Runs `script` with bash, as root, once the boot is under way. What it prints (standard output) arrives as lines at the report
    /// socket of [`Machine::arguments`](super::Machine::arguments); its standard error is in the guest's journal.
    #[must_use]
    pub fn script(mut self, script: impl Into<String>) -> Self {
        self.script = Some(script.into());
        self
    }

    /// Prints `containerd SECONDS` and `kubelet SECONDS`, the guest's uptime when containerd was active and when kubelet said that
    /// it is healthy; then powers off if told so.
    #[must_use]
    pub fn readiness(self, power_off: bool) -> Self {
        let end = if power_off { "systemctl poweroff\n" } else { "" };
        self.script(format!("{}{end}", include_str!("readiness.sh")))
    }

    /// systemd credentials by name.
    pub(super) fn credentials(&self, arch: Arch) -> Vec<(&'static str, String)> {
        let seed = self.seed.clone().map(|seed| ("kiln.seed", seed));
        self.tmpfiles(arch).map(|lines| ("tmpfiles.extra", lines)).into_iter().chain(seed).collect()
    }

    /// The lines of `tmpfiles.extra`, if there are any.
    fn tmpfiles(&self, arch: Arch) -> Option<String> {
        let mut lines = String::new();
        let mut file = |path: &str, mode: &str, text: &str| {
            writeln!(lines, "f+ {path} {mode} root root - {}", escape(text)).ok();
        };
        if self.standalone {
            file("/etc/default/kubelet", "0644", STANDALONE);
            file("/etc/kubernetes/standalone", "0644", "made by kiln boot --demo\n");
        }
        if let Some(script) = &self.script {
            file("/etc/rc.local", "0755", RC_LOCAL);
            let port = match arch {
                Arch::Amd64 => "/dev/ttyS1",
                Arch::Arm64 => "/dev/ttyS0",
            };
            // The line discipline would turn newlines into CR LF.
            let whole = "cat /run/kiln/report.* >/run/kiln/script\n. /run/kiln/script\n";
            file(
                "/run/kiln/report",
                "0755",
                &format!("exec >{port}\nstty -F {port} raw -echo\necho\necho {BEGIN}\n{whole}"),
            );
            for (number, part) in parts(script).iter().enumerate() {
                file(&format!("/run/kiln/report.{number:02}"), "0644", part);
            }
        }
        (!lines.is_empty()).then_some(lines)
    }
}

/// A file's content that systemd-tmpfiles takes: it refuses more than `PATH_MAX`, 4096 bytes.
const MAX_CONTENT: usize = 3072;

/// `script` in pieces of whole lines, each as long as one file can be.
fn parts(script: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for line in script.split_inclusive('\n') {
        match parts.last_mut() {
            Some(part) if part.len() + line.len() <= MAX_CONTENT => part.push_str(line),
            _ => parts.push(line.to_owned()),
        }
    }
    parts
}

/// As tmpfiles.d(5) reads the last field: C-style escapes, and `%` doubled.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '\n' => escaped.push_str("\\n"),
            '\t' => escaped.push_str("\\t"),
            '\\' => escaped.push_str("\\\\"),
            '%' => escaped.push_str("%%"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_no_credential() {
        assert_eq!(Handout::none().tmpfiles(Arch::Amd64), None);
    }

    #[test]
    fn each_file_is_one_line() {
        let lines = Handout::none().standalone().script("echo 'a\tb' 100% \\n\n").tmpfiles(Arch::Amd64).expect("lines");
        let paths: Vec<_> = lines.lines().map(|line| line.split(' ').nth(1).expect("a path")).collect();
        assert_eq!(
            paths,
            [
                "/etc/default/kubelet",
                "/etc/kubernetes/standalone",
                "/etc/rc.local",
                "/run/kiln/report",
                "/run/kiln/report.00"
            ]
        );
        assert!(lines.ends_with(" - echo 'a\\tb' 100%% \\\\n\\n\n"), "{lines}");
    }

    #[test]
    fn long_scripts_come_in_parts() {
        let script: String = (0..1000).map(|number| format!("echo {number}\n")).collect();
        let parts = parts(&script);
        assert!(parts.len() > 2 && parts.iter().all(|part| part.len() <= MAX_CONTENT && part.ends_with('\n')));
        assert_eq!(parts.concat(), script);
    }
}
