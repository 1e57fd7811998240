//! Files for a guest, passed at boot, so that images contain nothing for demonstrations or tests.
//!
//! QEMU's fw_cfg passes a systemd credential named `tmpfiles.extra`
//! (systemd.system-credentials(7)): lines of tmpfiles.d(5) that systemd-tmpfiles applies before any
//! service starts. They create files, which is all that is needed.

use kiln_profile::Arch;
use std::fmt::Write as _;

/// Runs kubelet without a cluster: the image's configuration without the settings that need an API
/// server or its CA.
///
/// No client can authenticate then, so `AlwaysAllow` grants nothing; health is served on another
/// port, of the loopback interface.
const STANDALONE: &str = "\
KUBELET_KUBECONFIG_ARGS=
KUBELET_EXTRA_ARGS=--anonymous-auth=false --authentication-token-webhook=false --authorization-mode=AlwaysAllow \
                          --client-ca-file=
";

/// `/etc/rc.local`, which `rc-local.service` runs: starts the script in a separate unit, so that
/// the boot can finish.
const RC_LOCAL: &str = "\
#!/bin/bash
exec systemd-run --quiet --unit=kiln-report --collect /bin/bash /run/kiln/report
";

/// The line before a script's first line: firmware writes to every serial port, too.
pub(super) const BEGIN: &str = "kiln-report:";

/// Files for one boot of a guest.
#[derive(Debug, Clone, Default)]
pub struct Handout {
    standalone: bool,
    script: Option<String>,
}

impl Handout {
    /// A handout without files.
    pub fn none() -> Self {
        Self::default()
    }

    /// Makes kubelet run standalone, as `kiln boot --demo` does.
    #[must_use]
    pub fn standalone(mut self) -> Self {
        self.standalone = true;
        self
    }

    /// Runs `script` with bash, as root, during the boot. Its standard output arrives as lines at
    /// the report socket of [`Machine::arguments`](super::Machine::arguments); its standard error
    /// goes to the guest's journal.
    #[must_use]
    pub fn script(mut self, script: impl Into<String>) -> Self {
        self.script = Some(script.into());
        self
    }

    /// Prints `containerd SECONDS` and `kubelet SECONDS`, the guest's uptime when containerd was
    /// active and when kubelet was healthy; then powers off if `power_off` is set.
    #[must_use]
    pub fn readiness(self, power_off: bool) -> Self {
        let end = if power_off { "systemctl poweroff\n" } else { "" };
        self.script(format!("{}{end}", include_str!("readiness.sh")))
    }

    /// The systemd credential with its name, if any. It is not secret: QEMU's command line has it.
    pub(super) fn credential(&self, arch: Arch) -> Option<(&'static str, String)> {
        self.tmpfiles(arch).map(|lines| ("tmpfiles.extra", lines))
    }

    /// The lines of `tmpfiles.extra`, if any.
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

/// The maximum size of a file in bytes; systemd-tmpfiles rejects more than `PATH_MAX`, 4096 bytes.
const MAX_CONTENT: usize = 3072;

/// Splits `script` between lines into parts of at most [`MAX_CONTENT`] bytes.
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

/// Escapes the last field of tmpfiles.d(5): C-style escapes, and `%` doubled.
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
    fn an_empty_handout_has_no_credential() {
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
    fn long_scripts_are_split_into_parts() {
        let script: String = (0..1000).map(|number| format!("echo {number}\n")).collect();
        let parts = parts(&script);
        assert!(parts.len() > 2 && parts.iter().all(|part| part.len() <= MAX_CONTENT && part.ends_with('\n')));
        assert_eq!(parts.concat(), script);
    }
}
