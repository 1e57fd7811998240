//! Checks that containerd, where it is a Debian package, reads the configuration that it will get.

use super::LockedPackage;
use kiln_profile::{AboutProfile, ContainerdSeries, Field, Key, Profile, fields};

/// The package, in Debian and in its derivatives.
const PACKAGE: &str = "containerd";

/// The suite's containerd does not read the configuration of the release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{}: it is {series}, and containerd of {suite} is {version}, which does not read that configuration; set it to {other}, or \
     name a containerd of series {series} under {}",
    Key::from(KEY),
    Key::from(fields::RELEASE_COMPONENTS)
)]
pub struct SeriesError {
    /// Series of the configuration.
    series: &'static str,
    /// Series of the package.
    other: &'static str,
    /// Suite of the package.
    suite: String,
    /// Version of the package.
    version: String,
}

/// The key that decides which configuration is written.
pub(super) const KEY: Field = fields::RELEASE_CONTAINERD_SERIES;

impl AboutProfile for SeriesError {
    fn key(&self) -> Option<Key> {
        Some(KEY.into())
    }
}

/// Checks that the release, which decides the configuration, matches the suite, which decides the
/// version of containerd.
///
/// # Errors
/// [`SeriesError`].
pub(super) fn check_series(profile: &Profile, packages: &[LockedPackage]) -> Result<(), SeriesError> {
    if !profile.release.packages.contains(PACKAGE) {
        return Ok(());
    }
    let Some(package) = packages.iter().find(|package| package.name == PACKAGE) else { return Ok(()) };
    let Some(major) = major(&package.version) else { return Ok(()) };
    let (series, fits) = match profile.release.containerd {
        ContainerdSeries::V1 => ("1", major < 2),
        ContainerdSeries::V2 => ("2", major >= 2),
    };
    if fits {
        return Ok(());
    }
    let other = if major < 2 { "1" } else { "2" };
    let (suite, version) = (profile.debian.suite.clone(), package.version.clone());
    Err(SeriesError { series, other, suite, version })
}

/// The first number of a Debian version, after its epoch.
fn major(version: &str) -> Option<u32> {
    let upstream = version.split_once(':').map_or(version, |(_, rest)| rest);
    upstream.split(['.', '~', '+', '-']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_profile::{Arch, Overrides};
    use kiln_source::deb::package::Archive;
    use kiln_tree::Digest;
    use std::path::Path;

    #[test]
    fn the_suites_containerd_must_be_of_the_configured_series() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../profiles");
        let overrides = Overrides { release: Some("debian-1.20.2".into()), ..Overrides::default() };
        let mut profile = kiln_profile::load(&dir, "worker", &overrides, Some(Path::new("/home/user")), Arch::Amd64)
            .expect("a profile");
        let package = |version: &str| LockedPackage {
            name: PACKAGE.into(),
            version: version.into(),
            archive: Archive::Main,
            filename: "pool/main/c/containerd/containerd.deb".into(),
            size: 1,
            sha256: Digest::of(b""),
        };
        assert_eq!(check_series(&profile, &[package("1.7.24~ds1-6+deb13u1")]), Ok(()));
        assert!(
            check_series(&profile, &[package("2.1.4~ds2-1")])
                .is_err_and(|error| error.to_string().contains("; set it to 2,"))
        );
        profile.release.containerd = ContainerdSeries::V2;
        assert_eq!(check_series(&profile, &[package("1:2.1.4~ds2-1")]), Ok(()));
        assert_eq!(
            check_series(&profile, &[package("1.7.24~ds1-6+deb13u1")])
                .expect_err("1.7 does not read version 3")
                .to_string(),
            "containerdSeries: it is 2, and containerd of trixie is 1.7.24~ds1-6+deb13u1, which does not read that \
             configuration; set it to 1, or name a containerd of series 2 under components"
        );
        // Upstream's archive replaces the package.
        profile.release.packages.remove(PACKAGE);
        assert_eq!(check_series(&profile, &[package("1.7.24")]), Ok(()));
    }
}
