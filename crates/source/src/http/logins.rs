//! Users and passwords from files: apt's `auth.conf` (apt_auth.conf(5)) and `~/.netrc`, which have
//! the same form.

use super::Purpose;
use super::url;
use std::fmt;
use ureq::http::Uri;

/// The users and passwords of files, in the order in which they are looked up. They are never
/// printed.
#[derive(Clone, Default)]
pub struct Logins(Vec<Login>);

/// One `machine`.
#[derive(Clone)]
struct Login {
    /// Whether it is apt's, and so for Debian's mirrors only.
    is_apts: bool,
    /// The scheme that it is for; if none is written, it is for `https` only.
    scheme: Option<String>,
    /// `host[:port][/path]`.
    machine: String,
    user: String,
    password: String,
}

impl Logins {
    /// Adds the text of an `auth.conf` of apt, for requests to Debian's mirrors.
    pub fn add_apts(&mut self, text: &str) {
        self.0.extend(parse(text, true));
    }

    /// Adds the text of a netrc file, for mirrors and artifacts. `default` is ignored, because
    /// it would be sent to everybody.
    pub fn add_netrc(&mut self, text: &str) {
        self.0.extend(parse(text, false));
    }

    /// The `Authorization` for a request, by apt's rules: the first matching `machine` counts.
    pub(crate) fn authorization(&self, uri: &Uri, purpose: Purpose) -> Option<String> {
        let is_for = |login: &&Login| match purpose {
            Purpose::Mirror => true,
            Purpose::Artifact => !login.is_apts,
            Purpose::Registry => false,
        };
        let login = self.0.iter().filter(is_for).find(|login| login.matches(uri))?;
        Some(url::basic(login.user.as_bytes(), login.password.as_bytes()))
    }
}

impl Login {
    /// apt_auth.conf(5): without a port, all ports match; a path is a prefix of the text.
    fn matches(&self, uri: &Uri) -> bool {
        if uri.scheme_str() != Some(self.scheme.as_deref().unwrap_or("https")) {
            return false;
        }
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        let server = uri.port_u16().map_or(host.clone(), |port| format!("{host}:{port}"));
        match self.machine.contains('/') {
            true => format!("{server}{}", uri.path()).starts_with(&self.machine),
            false => self.machine == host || self.machine == server,
        }
    }
}

/// Reads words separated by white space; unknown ones are skipped, as apt and curl do. The
/// definition of a macro ends with an empty line (netrc(5)).
fn parse(text: &str, is_apts: bool) -> Vec<Login> {
    let mut logins = Vec::new();
    // `None` where no machine's words are expected.
    let mut login: Option<Login> = None;
    let mut in_macro = false;
    let mut word_before = "";
    for line in text.lines() {
        if line.trim().is_empty() {
            in_macro = false;
        }
        if in_macro || line.trim_start().starts_with('#') {
            continue;
        }
        for word in line.split_ascii_whitespace() {
            match (std::mem::take(&mut word_before), &mut login) {
                ("machine", _) => {
                    logins.extend(login.take());
                    login = Some(machine(word, is_apts));
                }
                ("login", Some(login)) => word.clone_into(&mut login.user),
                ("password", Some(login)) => word.clone_into(&mut login.password),
                ("login" | "password" | "account", _) => {}
                _ if word == "macdef" => {
                    in_macro = true;
                    break;
                }
                _ if word == "default" => logins.extend(login.take()),
                _ => word_before = word,
            }
        }
    }
    logins.extend(login);
    logins.retain(|login| !(login.user.is_empty() && login.password.is_empty()));
    logins
}

fn machine(word: &str, is_apts: bool) -> Login {
    let (scheme, machine) = match word.split_once("://") {
        Some((scheme, machine)) => (Some(scheme.to_ascii_lowercase()), machine),
        None => (None, word),
    };
    let (host, path) = machine.split_at(machine.find('/').unwrap_or(machine.len()));
    let machine = format!("{}{path}", host.to_ascii_lowercase());
    Login { is_apts, scheme, machine, user: String::new(), password: String::new() }
}

impl fmt::Debug for Logins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|login| &login.machine)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(text: &str, url: &str) -> Option<String> {
        let mut logins = Logins::default();
        logins.add_apts(text);
        logins.authorization(&url.parse().expect("a URL"), Purpose::Mirror)
    }

    fn basic(login: &str) -> Option<String> {
        let (user, password) = login.split_once(':').expect("a password");
        Some(url::basic(user.as_bytes(), password.as_bytes()))
    }

    /// The examples of apt_auth.conf(5), and what its text says about ports and protocols.
    #[test]
    fn entries_apply_as_apt_applies_them() {
        let url = "https://example.org/debian/dists/x";
        for machine in ["example.org", "EXAMPLE.org", "example.org/deb", "example.org/debian", "example.org/debian/"] {
            let text = format!("machine {machine} login apt password debian");
            assert_eq!(found(&text, url), basic("apt:debian"), "{machine}");
        }
        for machine in [
            "example.org:443",
            "example.org/deb/",
            "example.org/ubuntu",
            "example.orga",
            "example.net",
            "http://example.org",
        ] {
            assert_eq!(found(&format!("machine {machine} login apt password debian"), url), None, "{machine}");
        }
        for (machine, url, applies) in [
            ("example.org", "https://example.org:8443/debian", true),
            ("example.org:8443", "https://example.org:8443/debian", true),
            ("example.org:8443/debian", "https://example.org:8443/debian", true),
            ("example.org/debian", "https://example.org:8443/debian", false),
            ("example.org", "http://example.org/debian", false),
            ("http://example.org", "http://example.org/debian", true),
            ("https://example.org/debian", "https://example.org/debian", true),
        ] {
            let text = format!("machine {machine} login apt password debian");
            assert_eq!(found(&text, url).is_some(), applies, "{machine} {url}");
        }
    }

    #[test]
    fn files_are_read_word_by_word() {
        let text = "# machine example.org login no password no\nmachine\n example.net login other\tpassword x\n\n\
                    machine example.org\nlogin machine\n account a\npassword login\nmachine example.org login late password late\n";
        assert_eq!(found(text, "https://example.org/"), basic("machine:login"));
        assert_eq!(found(text, "https://example.net/"), basic("other:x"));
        let netrc = "macdef init\nmachine example.org login no password no\n\nmachine example.net login a password b\n\
                     default login anonymous password me\n";
        assert_eq!(found(netrc, "https://example.org/"), None);
        assert_eq!(found(netrc, "https://example.net/"), basic("a:b"));
        assert_eq!(found("machine example.org", "https://example.org/"), None);
    }

    #[test]
    fn apts_are_for_mirrors_and_none_for_registries() {
        let mut logins = Logins::default();
        logins.add_apts("machine a.example login apt password secret");
        logins.add_netrc("machine b.example login me password secret");
        let found = |url: &str, purpose| logins.authorization(&url.parse().expect("a URL"), purpose);
        assert_eq!(found("https://a.example/", Purpose::Mirror), basic("apt:secret"));
        assert_eq!(found("https://a.example/", Purpose::Artifact), None);
        assert_eq!(found("https://b.example/", Purpose::Mirror), basic("me:secret"));
        assert_eq!(found("https://b.example/", Purpose::Artifact), basic("me:secret"));
        assert_eq!(found("https://b.example/", Purpose::Registry), None);
        assert_eq!(format!("{logins:?}"), "{\"a.example\", \"b.example\"}");
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "((machine|login|password|macdef|default|#|http://h|h/a|\\PC| |\n){1,3}){0,20}") {
            let _ = found(&text, "https://h/a");
        }
    }
}
