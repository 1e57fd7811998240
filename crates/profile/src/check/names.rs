//! The syntax of names, each according to the document that defines it. Errors are phrases that
//! follow the key's name.

use super::super::model::KubernetesVersion;
use kiln_kubernetes::Minor;
use kiln_url::Url;

/// Whether `text` is not empty and consists of `allowed` characters only.
fn made_of(text: &str, allowed: impl Fn(char) -> bool) -> bool {
    !text.is_empty() && text.chars().all(allowed)
}

fn lower_or_digit(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

fn expect(text: &str, valid: bool, what: &str) -> Result<(), String> {
    if valid { Ok(()) } else { Err(format!("{:?} is not {what}", short(text))) }
}

pub(crate) use kiln_agent::addresses::network;
pub(crate) use kiln_agent::names::{is_dns_label, is_subdomain, short};

/// A role, part of the names of files, images and hosts.
pub(crate) fn role(text: &str) -> Result<(), String> {
    let valid = text.len() <= 63
        && made_of(text, |c| lower_or_digit(c) || c == '-')
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-');
    expect(text, valid, "a role name (lower-case letters, digits and \"-\", such as \"worker\")")
}

/// The stem of a profile's or a release's file.
pub(crate) fn file_stem(text: &str) -> Result<(), String> {
    let valid =
        made_of(text, |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+')) && !text.starts_with('.');
    expect(text, valid, "a file name")
}

/// `IMAGE_ID` and `IMAGE_VERSION`, os-release(5).
pub(crate) fn image_word(text: &str) -> Result<(), String> {
    expect(
        text,
        made_of(text, |c| lower_or_digit(c) || matches!(c, '.' | '_' | '-')),
        "allowed by os-release(5) (lower-case letters, digits, \".\", \"_\" and \"-\")",
    )
}

/// A Debian package name, Policy 5.6.1.
pub(crate) fn package(text: &str) -> Result<(), String> {
    let valid = text.len() >= 2
        && text.starts_with(lower_or_digit)
        && made_of(text, |c| lower_or_digit(c) || matches!(c, '+' | '-' | '.'));
    expect(text, valid, "a Debian package name (lower-case letters, digits, \"+\", \"-\" and \".\")")
}

/// `name` or `name=version`, Policy 5.6.12.
pub(crate) fn package_request(text: &str) -> Result<(), String> {
    let Some((name, version)) = text.split_once('=') else { return package(text) };
    package(name)?;
    let upstream = version.split_once(':').map_or(version, |(_, rest)| rest);
    let valid = upstream.starts_with(|c: char| c.is_ascii_digit())
        && version.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-' | '~' | ':'));
    expect(version, valid, "a Debian version")
}

/// A suite's code name.
pub(crate) fn suite(text: &str) -> Result<(), String> {
    let valid = text.starts_with(|c: char| c.is_ascii_lowercase()) && made_of(text, |c| lower_or_digit(c) || c == '-');
    expect(text, valid, "a suite's code name, such as \"trixie\"")
}

/// A component of the archive.
pub(crate) fn archive_component(text: &str) -> Result<(), String> {
    expect(text, made_of(text, |c| lower_or_digit(c) || c == '-'), "a component of the archive, such as \"main\"")
}

/// A snapshot's timestamp.
pub(crate) fn snapshot(text: &str) -> Result<(), String> {
    let digits =
        |range: std::ops::Range<usize>| text.get(range).is_some_and(|part| made_of(part, |c| c.is_ascii_digit()));
    let valid = text.len() == 16 && digits(0..8) && text.get(8..9) == Some("T") && digits(9..15) && text.ends_with('Z');
    expect(text, valid, "a time stamp such as \"20261101T000000Z\"")
}

/// A module's name.
pub(crate) fn module(text: &str) -> Result<(), String> {
    expect(text, made_of(text, |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')), "a kernel module's name")
}

/// A sysctl key, sysctl.d(5).
pub(crate) fn sysctl(text: &str) -> Result<(), String> {
    let valid = made_of(text, |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '/' | '_' | '-' | '*'))
        && !text.split(['.', '/']).any(str::is_empty)
        && text.contains(['.', '/']);
    expect(text, valid, "a sysctl key, such as \"net.ipv4.ip_forward\"")
}

/// A parameter of the kernel command line: blanks only within double quotes.
pub(crate) fn cmdline_word(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("a word is empty".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err(format!("{:?} contains a control character", short(text)));
    }
    let mut quoted = false;
    let split = text.chars().any(|c| {
        quoted ^= c == '"';
        c == ' ' && !quoted
    });
    match (quoted, split) {
        (true, _) => Err(format!("{:?} has a quote that is never closed", short(text))),
        (_, true) => Err(format!("{:?} is more than one word, write each as an item of the list", short(text))),
        _ => Ok(()),
    }
}

/// A Kubernetes version, `major.minor.patch`.
pub(crate) fn kubernetes_version(text: &str) -> Result<KubernetesVersion, String> {
    let bad = || format!("{:?} is not a version such as \"1.36.4\"", short(text));
    let mut numbers = text.split('.').map(|part| match part.len() {
        1..=4 if part.bytes().all(|b| b.is_ascii_digit()) && (part.len() == 1 || !part.starts_with('0')) => {
            part.parse().ok()
        }
        _ => None,
    });
    let mut next = || numbers.next().flatten().ok_or_else(bad);
    let version = KubernetesVersion { major: next()?, minor: Minor::new(next()?), patch: next()? };
    if numbers.next().is_some() { Err(bad()) } else { Ok(version) }
}

/// A version of an artifact; it becomes part of URLs, the lock and the manifest.
pub(crate) fn version(text: &str) -> Result<(), String> {
    let valid = made_of(text, |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-' | '~' | '_'));
    expect(text, valid, "a version (letters, digits, \".\", \"+\", \"-\", \"~\" and \"_\")")
}

/// The name of a component, an artifact or a prune rule.
pub(crate) fn label(text: &str) -> Result<(), String> {
    let valid = made_of(text, |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+'))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric());
    expect(text, valid, "a name (letters, digits, \".\", \"-\", \"_\" and \"+\")")
}

/// An image reference with a tag or a digest, `registry/name:tag`.
pub(crate) fn image_reference(text: &str) -> Result<(), String> {
    let tagged = text.rsplit_once('/').is_some_and(|(host, name)| !host.is_empty() && name.contains([':', '@']));
    let valid = tagged
        && !text.ends_with([':', '@'])
        && made_of(text, |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | ':' | '@'));
    expect(text, valid, "an image with its registry and tag, such as \"registry.k8s.io/pause:3.10.2\"")
}

/// An `http://` or `https://` URL.
pub(crate) fn url(text: &str) -> Result<(), String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let valid = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
        && !text.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '"' | '<' | '>' | '\\'));
    expect(&Url::from(text).to_string(), valid, "an http:// or https:// URL")
}

/// A registry's host and port as containerd names its directory, or `_default`.
pub(crate) fn registry(text: &str) -> Result<(), String> {
    if text.contains('*') {
        return Err(format!(
            "{:?} has a \"*\"; \"_default\" stands for every registry that has no mirrors of its own",
            short(text)
        ));
    }
    let valid =
        made_of(text, |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '_')) && !text.starts_with('.');
    expect(text, valid, "a registry's host, such as \"docker.io\" or \"registry.example.org:5000\"")
}

/// A network device, at most 15 bytes.
pub(crate) fn device(text: &str) -> Result<(), String> {
    let valid = text.len() <= 15
        && made_of(text, |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
        && !matches!(text, "." | "..");
    expect(text, valid, "a network device's name (at most 15 letters, digits, \".\", \"-\" and \"_\")")
}

/// A user or group name, useradd(8).
pub(crate) fn account(text: &str) -> Result<(), String> {
    let valid = text.len() <= 32
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && made_of(text, |c| lower_or_digit(c) || matches!(c, '_' | '-'));
    expect(text, valid, "a user or group name (at most 32 lower-case letters, digits, \"_\" and \"-\")")
}

/// A command-line flag of kubelet without its dashes.
pub(crate) fn flag(text: &str) -> Result<(), String> {
    if text.starts_with('-') {
        return Err(format!("{:?} has dashes, write {:?}", short(text), short(text.trim_start_matches('-'))));
    }
    expect(text, kiln_agent::flags::is_name(text), "a flag, such as \"v\"")
}

/// Permission bits: exactly four octal digits, which cannot be mistaken for decimal.
pub(crate) fn mode(text: &str) -> Result<u16, String> {
    let valid = text.len() == 4 && text.bytes().all(|b| matches!(b, b'0'..=b'7'));
    expect(text, valid, "a mode, write four octal digits such as \"0644\"")?;
    u16::from_str_radix(text, 8).map_err(|error| error.to_string())
}

/// Types of units, systemd.unit(5).
const UNIT_TYPES: [&str; 11] =
    ["service", "socket", "device", "mount", "automount", "swap", "target", "path", "timer", "slice", "scope"];

/// A unit's name, systemd.unit(5).
pub(crate) fn unit(text: &str) -> Result<(), String> {
    let (stem, kind) = text.rsplit_once('.').unwrap_or((text, ""));
    if !UNIT_TYPES.contains(&kind) {
        return Err(format!("{:?} does not end in a unit type, such as \".service\"", short(text)));
    }
    let valid = text.len() <= 255
        && made_of(stem, |c| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '.' | '\\' | '@'));
    expect(text, valid, "a unit's name, see systemd.unit(5)")
}

/// A unit, or a drop-in `unit.d/name.conf`.
pub(crate) fn unit_or_drop_in(text: &str) -> Result<(), String> {
    let Some((directory, file)) = text.split_once('/') else { return unit(text) };
    let Some(of) = directory.strip_suffix(".d") else {
        return Err(format!("{:?} is neither a unit nor a drop-in such as \"foo.service.d/10-bar.conf\"", short(text)));
    };
    unit(of)?;
    let valid = file.strip_suffix(".conf").is_some_and(|stem| file_stem(stem).is_ok());
    expect(file, valid, "a drop-in's file name, such as \"10-bar.conf\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_documents_that_define_them() {
        for good in ["libc6", "g++", "linux-image-cloud-amd64", "0ad"] {
            assert_eq!(package(good), Ok(()));
        }
        for bad in ["x", "Perl", "foo_bar", "-a", ""] {
            assert!(package(bad).is_err(), "{bad}");
        }
        assert_eq!(package_request("runc=1:1.1.5+ds1-1~deb12u1"), Ok(()));
        assert!(package_request("runc=").is_err());
        assert_eq!(unit("getty@tty1.service"), Ok(()));
        assert_eq!(unit(r"dev-disk-by\x2dlabel-var.mount"), Ok(()));
        assert_eq!(unit_or_drop_in("kubelet.service.d/10-kubeadm.conf"), Ok(()));
        for bad in ["kubelet", "kubelet.servce", ".service", "a b.service", "a.service/b.conf"] {
            assert!(unit_or_drop_in(bad).is_err(), "{bad}");
        }
        assert_eq!(sysctl("net.bridge.bridge-nf-call-iptables"), Ok(()));
        assert_eq!(sysctl("net.ipv4.conf.*.rp_filter"), Ok(()));
        assert!(sysctl("net..ipv4").is_err());
        assert_eq!(mode("0755"), Ok(0o755));
        for bad in ["755", "420", "0888", "00644", "rwxr"] {
            assert!(mode(bad).is_err(), "{bad}");
        }
        assert_eq!(cmdline_word("dyndbg=\"file a +p\""), Ok(()));
        assert!(cmdline_word("quiet splash").is_err());
        assert!(cmdline_word("a=\"b").is_err());
        assert_eq!(snapshot("20261101T000000Z"), Ok(()));
        assert!(snapshot("20261101000000").is_err());
    }

    #[test]
    fn versions_are_three_numbers() {
        assert_eq!(kubernetes_version("1.36.4"), Ok(KubernetesVersion { major: 1, minor: Minor::new(36), patch: 4 }));
        for bad in ["1.36", "v1.36.4", "1.36.4.1", "1.036.4", "1.36.x", "", "1.36.4-rc.0", "99999.1.1"] {
            assert!(kubernetes_version(bad).is_err(), "{bad}");
        }
    }
}
