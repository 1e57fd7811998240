//! What differs by Debian suite, in one table ([`SUITES`]), and what is the same for all.
//!
//! A crate of its own without dependencies: `profile` asks which suites are known and what their systemd can do,
//! `source` where their archives and keys are, and neither of these rooms may know the other.

/// A release of Debian, or a suite that is always in development.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suite {
    /// Its code name, that of its directory below `dists/`.
    pub name: &'static str,
    /// What the suite of its security updates adds to that name; a suite in development has neither security
    /// updates nor updates between point releases.
    pub security: Option<&'static str>,
    /// Major version of its systemd; of a suite in development, the lowest that it may have.
    pub systemd: u16,
    /// Whether kiln's tests bake and boot it. Another one has to be named under `debian.suites`.
    pub tested: bool,
}

/// The table, oldest first.
pub const SUITES: [Suite; 8] = [
    Suite { name: "buster", security: Some("/updates"), systemd: 241, tested: false },
    Suite { name: "bullseye", security: Some("-security"), systemd: 247, tested: false },
    Suite { name: "bookworm", security: Some("-security"), systemd: 252, tested: true },
    Suite { name: "trixie", security: Some("-security"), systemd: 257, tested: true },
    // Debian 14, in testing until its release. docs/usage.md says what was tried.
    Suite { name: "forky", security: Some("-security"), systemd: 262, tested: false },
    Suite { name: "duke", security: Some("-security"), systemd: 262, tested: false },
    Suite { name: "sid", security: None, systemd: 262, tested: false },
    Suite { name: "rc-buggy", security: None, systemd: 262, tested: false },
];

/// The suite of a profile that names none.
pub const DEFAULT_SUITE: &str = "trixie";

/// Other names of suites, of which only apt's sources make use: what they stand for changes with a release.
pub const ALIASES: [&str; 8] =
    ["oldoldoldstable", "oldoldstable", "oldstable", "stable", "testing", "next-stable", "unstable", "experimental"];

/// Aliases of suites that are always in development.
const IN_DEVELOPMENT: [&str; 2] = ["unstable", "experimental"];

/// What follows the name of a suite in that of a suite which adds to it.
pub const SUFFIXES: [&str; 6] =
    ["-updates", "-security", "-backports", "-backports-sloppy", "-proposed-updates", "/updates"];

/// The suffix of updates between point releases.
pub const UPDATES: &str = "-updates";

/// The last directory of the archive's URL on mirrors.
pub const ARCHIVE: &str = "debian";
/// The same of the security archive.
pub const SECURITY_ARCHIVE: &str = "debian-security";

/// Where the package debian-archive-keyring puts its keyring: since Debian 13, and before.
pub const KEYRINGS: [&str; 2] =
    ["/usr/share/keyrings/debian-archive-keyring.pgp", "/usr/share/keyrings/debian-archive-keyring.gpg"];
/// How the names of that package's files begin.
pub const KEYRING_PREFIX: &str = "debian-archive-";

/// The meta package of the kernel for virtual machines, the same in all suites; `{arch}` stands for the
/// architecture.
pub const KERNEL: &str = "linux-image-cloud-{arch}";

/// The row of the suite `name`, if there is one.
pub fn suite(name: &str) -> Option<&'static Suite> {
    SUITES.iter().find(|suite| suite.name == name)
}

/// The suffix of the suite of security updates of `name`, or None for an alias or a suite in development. A
/// suite without a row is taken for a release.
pub fn security_suffix(name: &str) -> Option<&'static str> {
    match suite(name) {
        Some(suite) => suite.security,
        None if IN_DEVELOPMENT.contains(&name) => None,
        None => Some("-security"),
    }
}

/// Whether `name`, without a suffix of [`SUFFIXES`], is one of Debian's.
pub fn is_debians(name: &str) -> bool {
    let base = SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
    suite(base).is_some() || ALIASES.contains(&base)
}

/// Where a mirror of the whole archive has the security archive: beside it, `…/debian` → `…/debian-security`.
pub fn security_beside(mirror: &str) -> Option<String> {
    let base = mirror.trim_end_matches('/').strip_suffix(ARCHIVE)?;
    base.ends_with('/').then(|| format!("{base}{SECURITY_ARCHIVE}"))
}

/// What systemd makes of a kernel's command line that asks for the old hierarchy of control groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CgroupV1 {
    /// It boots the old hierarchy.
    Boots,
    /// It does so only with `SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1`, else waits and takes the new one.
    Forced,
    /// It has no code for the old hierarchy any more.
    Gone,
}

/// What the systemd of the suite `name` makes of cgroup v1; a suite without a row is taken for a new one that
/// can still be forced, as nobody knows its systemd.
pub fn cgroup_v1(name: &str) -> CgroupV1 {
    match suite(name).map(|suite| suite.systemd) {
        // NEWS of systemd 256 and 258.
        Some(..256) => CgroupV1::Boots,
        Some(258..) => CgroupV1::Gone,
        Some(_) | None => CgroupV1::Forced,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_consistent() {
        let tested: Vec<&str> = SUITES.iter().filter(|suite| suite.tested).map(|suite| suite.name).collect();
        assert_eq!(tested, ["bookworm", "trixie"]);
        assert!(tested.contains(&DEFAULT_SUITE));
        for pair in SUITES.windows(2) {
            assert!(pair[0].systemd <= pair[1].systemd, "{} is older than {}", pair[0].name, pair[1].name);
        }
        for suite in SUITES {
            assert!(suite.security.is_none_or(|suffix| SUFFIXES.contains(&suffix)), "{}", suite.name);
            assert!(!ALIASES.contains(&suite.name), "{}", suite.name);
        }
        assert!(IN_DEVELOPMENT.iter().all(|alias| ALIASES.contains(alias)));
    }

    #[test]
    fn suites_are_recognised_with_what_adds_to_them() {
        for name in ["trixie", "forky-updates", "buster/updates", "stable-security", "sid", "bookworm-backports"] {
            assert!(is_debians(name), "{name}");
        }
        for name in ["noble", "trixie-foo", "-updates", ""] {
            assert!(!is_debians(name), "{name}");
        }
    }

    #[test]
    fn a_suite_says_where_its_security_updates_are() {
        assert_eq!(security_suffix("forky"), Some("-security"));
        assert_eq!(security_suffix("site"), Some("-security"));
        assert_eq!(["sid", "rc-buggy", "unstable", "experimental"].map(security_suffix), [None; 4]);
        assert_eq!(security_beside("http://m/debian/").as_deref(), Some("http://m/debian-security"));
        assert_eq!(security_beside("http://m/archive"), None);
        assert_eq!(security_beside("http://m/mydebian"), None);
    }

    #[test]
    fn the_old_hierarchy_goes_away_in_two_steps() {
        use CgroupV1::{Boots, Forced, Gone};
        assert_eq!(["bookworm", "trixie", "forky", "site"].map(cgroup_v1), [Boots, Forced, Gone, Forced]);
    }
}
