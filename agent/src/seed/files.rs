//! `files` of a seed: what one node has beyond its image. Everything that a node runs, believes or
//! is comes with its image, and is refused here.
//!
//! The builder and the agent use the same checks, so that a seed that `kiln seed --check` accepts is
//! refused by no node.

use super::fields::Fields;
use super::{File, SeedError};
use crate::paths;
use serde_json::Value;
use std::collections::BTreeMap;

/// A place, and whose it is. A seed writes neither there, nor below, nor a file in place of a
/// directory that leads there.
type Kept = (&'static [&'static str], &'static str);

/// The places that seeds do not write.
const KEPT: [Kept; 7] = [
    (
        &[
            paths::STATE,
            paths::RUN,
            paths::PKI,
            paths::KUBELET_CONF,
            paths::BOOTSTRAP_CONF,
            paths::CA_FILE,
            paths::FLAGS,
            paths::CONFLIST,
            paths::HOSTNAME,
            paths::ISSUE,
        ],
        "the agent writes it",
    ),
    (
        &[paths::KUBELET_CONFIG, "/etc/kubernetes/kubelet.conf.d"],
        "the image has kubelet's configuration; use kubelet.args",
    ),
    (
        &[
            "/etc/alternatives",
            "/etc/apparmor.d",
            "/etc/containerd/config.toml",
            "/etc/docker",
            "/etc/ld.so.cache",
            "/etc/ld.so.conf",
            "/etc/ld.so.conf.d",
            "/etc/ld.so.preload",
            "/opt/cni",
            "/run/containerd",
            "/run/docker",
            "/var/lib/containerd",
            "/var/lib/docker",
        ],
        "programs, and how they run, come with the image; use its profile",
    ),
    (
        &[
            "/etc/binfmt.d",
            "/etc/cron.d",
            "/etc/crontab",
            "/etc/dbus-1",
            "/etc/init.d",
            "/etc/modprobe.d",
            "/etc/modules-load.d",
            "/etc/rc.local",
            "/etc/repart.d",
            "/etc/sysctl.conf",
            "/etc/sysctl.d",
            "/etc/systemd",
            "/etc/sysusers.d",
            "/etc/tmpfiles.d",
            "/etc/udev",
            "/run/binfmt.d",
            "/run/modprobe.d",
            "/run/modules-load.d",
            "/run/repart.d",
            "/run/sysctl.d",
            "/run/systemd",
            "/run/sysusers.d",
            "/run/tmpfiles.d",
            "/run/udev",
        ],
        "the system has read it before the agent runs; use the image's profile",
    ),
    (
        &[
            "/etc/group",
            "/etc/gshadow",
            "/etc/login.defs",
            "/etc/nsswitch.conf",
            "/etc/pam.conf",
            "/etc/pam.d",
            "/etc/passwd",
            "/etc/polkit-1",
            "/etc/profile",
            "/etc/profile.d",
            "/etc/security",
            "/etc/shadow",
            "/etc/ssh",
            "/etc/subgid",
            "/etc/subuid",
            "/etc/sudoers",
            "/etc/sudoers.d",
        ],
        "who may log in comes with the image; use its profile",
    ),
    (
        &["/etc/ca-certificates", "/etc/ca-certificates.conf", "/etc/ssl"],
        "the authorities that a node believes come with the image; use its profile",
    ),
    (
        &[
            "/etc/credstore",
            "/etc/credstore.encrypted",
            "/etc/crypttab",
            "/etc/fstab",
            "/etc/machine-id",
            "/etc/mtab",
            "/etc/os-release",
            "/run/credentials",
            "/run/credstore",
            "/run/credstore.encrypted",
        ],
        "it identifies the machine and its disks",
    ),
];

/// Names of the same directory: links in Debian's `/var`, and what `/init` mounts.
const ALIASES: [(&str, &str); 3] =
    [("/var/run", "/run"), ("/var/lock", "/run/lock"), ("/var/lib/kubernetes", "/etc/kubernetes")];

/// The longest name in a directory (`NAME_MAX`), less the suffix while the file is written.
const MAX_NAME: usize = 255 - paths::UNFINISHED.len();
/// Below `PATH_MAX`, with the same suffix.
const MAX_PATH: usize = 4000;

/// The files that were accepted so far.
#[derive(Default)]
struct Accepted {
    files: BTreeMap<String, File>,
    /// Their paths by the same paths without aliases.
    real: BTreeMap<String, String>,
}

pub(super) fn files(fields: Fields) -> Result<BTreeMap<String, File>, SeedError> {
    let mut accepted = Accepted::default();
    for (place, path, value) in fields.rest() {
        accepted.add(&place, path, value)?;
    }
    Ok(accepted.files)
}

/// Removes from a stored seed's `document` the files that it may not have (any more), and returns
/// why: a node that joined with another version of the agent stays a node.
pub fn leave_out_files(document: &mut Value) -> Vec<SeedError> {
    let mut left_out = Vec::new();
    let mut accepted = Accepted::default();
    if let Some(Value::Object(files)) = document.get_mut("files") {
        files.retain(|path, value| {
            let added = accepted.add(&format!("files[{path:?}]"), path.clone(), value.clone());
            added.map_err(|error| left_out.push(error)).is_ok()
        });
    }
    left_out
}

impl Accepted {
    fn add(&mut self, place: &str, path: String, value: Value) -> Result<(), SeedError> {
        let refused = |why: String| SeedError::field(place, &why);
        let real = real(&path).map_err(refused)?;
        if let Some(other) = self.real.get(&real) {
            return Err(refused(format!("is the same file as {other}")));
        }
        let above = real.match_indices('/').find_map(|(end, _)| self.real.get(&real[..end]));
        let below = format!("{real}/");
        let below = self.real.range(below.clone()..).next().filter(|(other, _)| other.starts_with(&below));
        if let Some(other) = above {
            return Err(refused(format!("cannot exist beside {other}, which is a file and no directory")));
        }
        if let Some((_, other)) = below {
            return Err(refused(format!("cannot be a file, because {other} needs a directory there")));
        }
        let file = file(place, value)?;
        self.real.insert(real, path.clone());
        self.files.insert(path, file);
        Ok(())
    }
}

fn file(place: &str, value: Value) -> Result<File, SeedError> {
    let mut fields = Fields::new(place, value)?;
    let file = File {
        content: fields
            .text("content", |text| Ok(text.to_owned()))?
            .ok_or_else(|| SeedError::field(&format!("{place}.content"), "is required"))?,
        mode: fields.text("mode", mode)?.unwrap_or(0o644),
        uid: fields.number("uid", u32::MAX - 1)?.unwrap_or(0),
        gid: fields.number("gid", u32::MAX - 1)?.unwrap_or(0),
    };
    fields.end()?;
    Ok(file)
}

/// The agent's unit may not give such a mode (`RestrictSUIDSGID=`), and no file needs it.
fn mode(text: &str) -> Result<u32, String> {
    let sound = (3..=4).contains(&text.len()) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    match u32::from_str_radix(text, 8) {
        Ok(mode) if sound && mode > 0o777 => {
            Err("a seed cannot set the set-user-ID, set-group-ID or sticky bit; at most \"0777\"".into())
        }
        Ok(mode) if sound => Ok(mode),
        _ => Err("must be octal digits in quotes, such as \"0644\"".into()),
    }
}

/// `path` without aliases, if a seed may write there.
fn real(path: &str) -> Result<String, String> {
    let mut parts = path.split('/').skip(1);
    let sound = path.starts_with('/') && path.len() <= MAX_PATH && !path.contains(char::is_control);
    if !sound || parts.clone().any(|part| matches!(part, "" | "." | "..")) {
        return Err("is not an absolute path of a file".into());
    }
    if parts.any(|part| part.len() > MAX_NAME) {
        return Err(format!("has a name of more than {MAX_NAME} bytes"));
    }
    if path.ends_with(paths::UNFINISHED) {
        return Err(format!("ends in {}, as files do while the agent writes them", paths::UNFINISHED));
    }
    let alias = ALIASES.iter().find(|(alias, _)| path == *alias || is_below(path, alias));
    let real = alias.map_or(path.to_owned(), |(alias, real)| path.replacen(alias, real, 1));
    if !paths::WRITABLE.iter().any(|directory| is_below(&real, directory)) {
        return Err(format!("a seed can write only below {}", paths::WRITABLE.join(", ")));
    }
    let touches = |kept: &&str| real == **kept || is_below(&real, kept) || is_below(kept, &real);
    let kept = KEPT.iter().find_map(|(places, why)| Some((places.iter().find(|kept| touches(kept))?, why)));
    match kept {
        Some((kept, why)) => Err(format!("a seed cannot write {kept}: {why}")),
        None => Ok(real),
    }
}

fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: &Value) -> Result<BTreeMap<String, File>, String> {
        files(Fields::new("files", value.clone()).expect("a mapping")).map_err(|error| error.to_string())
    }

    fn at(paths: &[&str]) -> Result<BTreeMap<String, File>, String> {
        let files: serde_json::Map<String, Value> =
            paths.iter().map(|path| ((*path).to_owned(), json!({"content": "x"}))).collect();
        read(&files.into())
    }

    #[test]
    fn what_a_node_has_of_its_own() {
        let paths = [
            "/etc/containerd/certs.d/docker.io/hosts.toml",
            "/etc/issue.d/60-rack.issue",
            "/etc/kubernetes/manifests/vip.yaml",
            "/etc/kubernetes/pki/etcd.crt",
            "/etc/motd",
            "/opt/site/x",
            "/run/site/x",
            "/srv/x",
            "/var/lib/site/x",
            "/var/lib/site/y",
        ];
        assert_eq!(at(&paths).expect("sound").len(), paths.len());
    }

    #[test]
    fn what_comes_with_the_image_or_from_the_agent() {
        for (path, why) in [
            ("/usr/bin/kubelet", "a seed can write only below /etc, /opt, /run, /srv, /var"),
            ("/etc", "a seed can write only below"),
            ("/root/.ssh/authorized_keys", "a seed can write only below"),
            ("/etc/kubernetes/pki/ca.crt", "/etc/kubernetes/pki/ca.crt: the agent writes it"),
            ("/var/lib/kubernetes/pki/ca.crt", "/etc/kubernetes/pki/ca.crt: the agent writes it"),
            ("/etc/kubernetes/pki/ca.crt/x", "the agent writes it"),
            ("/etc/kubernetes/kubelet.conf", "the agent writes it"),
            ("/etc/kubernetes/pki", "/etc/kubernetes/pki/ca.crt: the agent writes it"),
            ("/var/lib/kiln", "the agent writes it"),
            ("/var/lib/kiln/node.json", "the agent writes it"),
            ("/var/run/kiln/status.json", "/run/kiln: the agent writes it"),
            ("/var/lib/kubelet/kubeadm-flags.env", "the agent writes it"),
            ("/etc/hostname", "the agent writes it"),
            ("/var/lib/kubelet/config.yaml", "use kubelet.args"),
            ("/etc/kubernetes/kubelet.conf.d/99.conf", "use kubelet.args"),
            ("/opt/cni/bin/bridge", "come with the image"),
            ("/etc/ld.so.preload", "come with the image"),
            ("/etc/systemd/system/kubelet.service.d/x.conf", "before the agent runs"),
            ("/var/run/systemd/system/x.service", "before the agent runs"),
            ("/etc/shadow", "who may log in"),
            ("/etc/ssl/certs/ca-certificates.crt", "authorities"),
            ("/etc/motd.kiln-new", "while the agent writes them"),
        ] {
            let error = at(&[path]).expect_err(path);
            assert!(error.starts_with(&format!("files[{path:?}]: ")) && error.contains(why), "{error}");
        }
        let long = format!("/etc/{}", "x".repeat(MAX_NAME + 1));
        assert!(at(&[&long]).is_err() && at(&[&long[..long.len() - 1]]).is_ok());
    }

    #[test]
    fn files_that_exclude_each_other() {
        let beside = "files[\"/etc/foo/bar\"]: cannot exist beside /etc/foo, which is a file and no directory";
        assert_eq!(at(&["/etc/foo", "/etc/foo/bar"]), Err(beside.into()));
        assert_eq!(at(&["/etc/foo", "/etc/foo-bar", "/etc/foo.d/x"]).map(|files| files.len()), Ok(3));
        let error = at(&["/run/foo/bar", "/var/run/foo"]).expect_err("a directory");
        assert!(error.ends_with("cannot be a file, because /run/foo/bar needs a directory there"), "{error}");
        let error = at(&["/run/foo", "/var/run/foo"]).expect_err("twice");
        assert!(error.ends_with("is the same file as /run/foo"), "{error}");
    }

    #[test]
    fn modes() {
        let with = |mode: &str| read(&json!({"/etc/x": {"content": "", "mode": mode}}));
        assert_eq!(with("0750").expect("a mode")["/etc/x"].mode, 0o750);
        for mode in ["4755", "2755", "1777", "6755"] {
            let error = with(mode).expect_err(mode);
            assert!(error.contains("cannot set the set-user-ID"), "{error}");
        }
        assert!(with("0800").is_err() && with("64").is_err() && with("00644").is_err());
    }

    #[test]
    fn a_stored_seed_loses_only_what_it_may_not_have() {
        let fine = json!({"content": "x"});
        let mut document = json!({"kind": "NodeSeed", "files": {
            "/etc/motd": fine, "/etc/passwd": fine, "/etc/a": fine, "/etc/a/b": fine, "/srv/x": {"content": "", "mode": "4755"},
        }});
        let left_out: Vec<String> = leave_out_files(&mut document).iter().map(ToString::to_string).collect();
        assert_eq!(left_out.len(), 3, "{left_out:#?}");
        assert_eq!(document["files"], json!({"/etc/motd": fine, "/etc/a": fine}));
        assert!(crate::seed::Seed::decode(document).is_ok());
        assert!(leave_out_files(&mut json!({"kind": "NodeSeed"})).is_empty());
    }
}
