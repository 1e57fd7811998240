//! Reads what the host's apt is configured to use for mirrors: proxies from apt.conf(5), users and
//! passwords from apt_auth.conf(5).
//!
//! The sources of a host often need both, and kiln takes the mirrors from there. What cannot be
//! read or used is noted and left out: apt's configuration may be for mirrors that kiln does not
//! ask.

mod parse;

use crate::http::{AptProxies, Logins};
use parse::Values;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// The most bytes of one file.
const MAX_BYTES: u64 = 1 << 20;

/// apt's settings for mirrors.
#[derive(Debug, Clone, Default)]
pub struct AptConf {
    /// The proxies.
    pub proxies: AptProxies,
    /// Users and passwords.
    pub logins: Logins,
    /// What is not used and why, one sentence each, for warnings.
    pub unused: Vec<String>,
    /// What only other users may read, and programs that would have to be run, for `-v`.
    pub notes: Vec<String>,
}

/// Reads apt's settings below `root` (`/` for the host's), and before these the file that
/// `APT_CONFIG` names, as apt does.
pub fn read(root: &Path, apt_config: Option<&Path>) -> AptConf {
    let mut conf = AptConf::default();
    let mut values = Values::default();
    if let Some(path) = apt_config {
        conf.add_values(path, &mut values);
    }
    let path_of = |values: &Values, name: &str, default: &str| path(root, values, name, default);
    for path in conf.files_in(&path_of(&values, "parts", "apt.conf.d")) {
        conf.add_values(&path, &mut values);
    }
    let main = path_of(&values, "main", "apt.conf");
    conf.add_values(&main, &mut values);
    conf.add_proxies(&values);
    let mut files = vec![path_of(&values, "netrc", "auth.conf")];
    files.extend(conf.files_in(&path_of(&values, "netrcparts", "auth.conf.d")));
    for path in files {
        if let Some(text) = conf.text_of(&path) {
            conf.logins.add_apts(&text);
        }
    }
    conf
}

/// The place of a file or directory: `Dir::Etc::…`, which may be relative to `Dir::Etc`, and this
/// to `Dir`.
fn path(root: &Path, values: &Values, name: &str, default: &str) -> PathBuf {
    let dir = root.join(values.get("dir").unwrap_or("/").trim_start_matches('/'));
    let etc = dir.join(values.get("dir::etc").unwrap_or("etc/apt"));
    etc.join(values.get(&format!("dir::etc::{name}")).unwrap_or(default))
}

impl AptConf {
    fn add_values(&mut self, path: &Path, values: &mut Values) {
        let Some(text) = self.text_of(path) else { return };
        if let Err((line, problem)) = values.add(&text) {
            self.unused
                .push(format!("{}:{line}: {problem}; apt's settings from there on are not used", path.display()));
        }
    }

    fn add_proxies(&mut self, values: &Values) {
        for (scheme, is_https) in [("http", false), ("https", true)] {
            let key = format!("acquire::{scheme}::proxy");
            for (name, value) in values.below(&key) {
                let host = name.strip_prefix("::").unwrap_or(name);
                if value.is_empty() {
                    continue;
                }
                // The value may have a password.
                if let Err(why) = self.proxies.add(is_https, host, value) {
                    self.unused.push(format!(
                        "apt's Acquire::{scheme}::Proxy{name} is not used: {why}; set {scheme}_proxy instead"
                    ));
                }
            }
            for name in ["proxy-auto-detect", "proxyautodetect"] {
                if values.get(&format!("acquire::{scheme}::{name}")).is_some_and(|value| !value.is_empty()) {
                    self.notes.push(format!(
                        "apt's Acquire::{scheme}::Proxy-Auto-Detect is not used: kiln runs no programs; set {scheme}_proxy instead"
                    ));
                }
            }
        }
    }

    /// The text of a file; bytes that are not UTF-8 are replaced. `None` if there is none, or it
    /// cannot be read.
    fn text_of(&mut self, path: &Path) -> Option<String> {
        // apt allows a device such as /dev/null for "none".
        if !std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file()) {
            return None;
        }
        match kiln_file::read(path, MAX_BYTES) {
            Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            Err(why) => {
                let text = format!("{} is not used: {why}", path.display());
                // Files with passwords are for root's apt.
                let is_others = why.kind() == io::ErrorKind::PermissionDenied;
                if is_others { &mut self.notes } else { &mut self.unused }.push(text);
                None
            }
        }
    }

    /// The files of a directory that apt reads, in its order: those that end in `.conf` or have no
    /// extension.
    fn files_in(&mut self, directory: &Path) -> Vec<PathBuf> {
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(why) if why.kind() == io::ErrorKind::PermissionDenied => {
                self.notes.push(format!("{} is not used: {why}", directory.display()));
                return Vec::new();
            }
            Err(_) => return Vec::new(),
        };
        let is_read = |name: &str| {
            !name.starts_with('.')
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
                && name.rsplit_once('.').is_none_or(|(_, extension)| extension == "conf")
        };
        let names: BTreeSet<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| is_read(name))
            .collect();
        names.into_iter().map(|name| directory.join(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{ProxyConfig, Purpose};

    /// A root with files, paths relative to it.
    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("temporary directory");
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("in a directory")).expect("create");
            std::fs::write(path, text).expect("write");
        }
        root
    }

    fn via(conf: &AptConf, url: &str) -> Option<String> {
        ProxyConfig::default().with_apts(conf.proxies.clone()).proxy_for(url, Purpose::Mirror)
    }

    fn has_login(conf: &AptConf, url: &str) -> bool {
        conf.logins.authorization(&url.parse().expect("a URL"), Purpose::Mirror).is_some()
    }

    #[test]
    fn files_are_read_in_apts_order() {
        let root = root(&[
            ("etc/apt/apt.conf.d/20b", "Acquire::http::Proxy \"http://b:1\";\n"),
            (
                "etc/apt/apt.conf.d/10a.conf",
                "Acquire::http::Proxy \"http://a:1\";\nAcquire::https::Proxy \"http://tls:1\";\n",
            ),
            ("etc/apt/apt.conf.d/30c.bak", "Acquire::http::Proxy \"http://c:1\";\n"),
            ("etc/apt/apt.conf.d/.hidden", "Acquire::http::Proxy \"http://d:1\";\n"),
            ("etc/apt/apt.conf", "Acquire::http::Proxy::direct.example \"DIRECT\";\n"),
            ("etc/apt/auth.conf", "machine main.example login a password b\n"),
            ("etc/apt/auth.conf.d/x.conf", "machine part.example login a password b\n"),
            ("etc/apt/auth.conf.d/x.dpkg-old", "machine old.example login a password b\n"),
        ]);
        let conf = read(root.path(), None);
        assert_eq!(via(&conf, "http://m.example/"), Some("b:1".into()));
        assert_eq!(via(&conf, "https://m.example/"), Some("tls:1".into()));
        assert_eq!(via(&conf, "http://direct.example/"), None);
        assert!(has_login(&conf, "https://main.example/") && has_login(&conf, "https://part.example/"));
        assert!(!has_login(&conf, "https://old.example/"));
        assert!(conf.unused.is_empty() && conf.notes.is_empty(), "{conf:?}");
    }

    #[test]
    fn apt_config_names_other_files() {
        let root = root(&[
            ("etc/apt/apt.conf.d/a", "Acquire::http::Proxy \"http://a:1\";\n"),
            ("etc/apt/auth.conf", "machine host.example login a password b\n"),
            ("mine/auth", "machine mine.example login a password b\n"),
        ]);
        let own = root.path().join("own.conf");
        let text = format!(
            "Dir::Etc::parts \"/dev/null\"; Dir::Etc::main \"/dev/null\";\nDir::Etc::netrc \"{}\";\n\
             Acquire::http::Proxy \"http://own:1\";\n",
            root.path().join("mine/auth").display()
        );
        std::fs::write(&own, text).expect("written");
        let conf = read(root.path(), Some(&own));
        assert_eq!(via(&conf, "http://m.example/"), Some("own:1".into()));
        assert!(has_login(&conf, "https://mine.example/") && !has_login(&conf, "https://host.example/"));
        assert!(conf.unused.is_empty() && conf.notes.is_empty(), "{conf:?}");
    }

    #[test]
    fn what_cannot_be_used_is_said_without_passwords() {
        let root = root(&[
            ("etc/apt/apt.conf.d/a", "Acquire::http::Proxy \"socks5h://me:secret@p:1\";\n"),
            ("etc/apt/apt.conf.d/b", "Acquire::http::Proxy-Auto-Detect \"/usr/bin/secret\";\n"),
            ("etc/apt/apt.conf.d/c", "\n{ secret\n"),
        ]);
        let conf = read(root.path(), None);
        let expected = [
            ":2: a block begins without a name; apt's settings from there on are not used",
            "apt's Acquire::http::Proxy is not used: socks5h proxies are not supported; set http_proxy instead",
        ];
        assert_eq!(conf.unused.len(), expected.len(), "{conf:?}");
        for (unused, expected) in conf.unused.iter().zip(expected) {
            assert!(unused.ends_with(expected), "{unused}");
        }
        assert_eq!(
            conf.notes,
            ["apt's Acquire::http::Proxy-Auto-Detect is not used: kiln runs no programs; set http_proxy instead"]
        );
        assert!(!format!("{conf:?}").contains("secret"), "{conf:?}");
        let nothing = read(Path::new("/nonexistent"), None);
        assert!(nothing.unused.is_empty() && nothing.notes.is_empty(), "{nothing:?}");
    }
}
