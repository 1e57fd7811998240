//! Debian's archive and packages.

use super::super::key::{Field, fields};
use super::super::model::{Arch, Debian, Release};
use super::super::place::{At, Fault};
use super::super::raw::{RawDebian, RawSuite};
use super::super::suggest;
use super::{Context, distinct, host_path, names, text, texts};
use kiln_url::Url;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn debian(raw: RawDebian, release: &Release, arch: Arch, context: &Context<'_>) -> Result<Debian, Fault> {
    let RawDebian {
        suite,
        components,
        mirrors,
        security_mirrors,
        snapshot,
        keyring,
        mut packages,
        mut exclude,
        mut suites,
    } = raw;
    let suite = self::suite(suite.as_ref(), &suites)?;
    for (name, RawSuite { packages: more, exclude: less }) in std::mem::take(&mut suites) {
        if text(&name, fields::DEBIAN_SUITES, names::suite)? == suite {
            packages.extend(more);
            exclude.extend(less);
        }
    }
    let snapshot = snapshot.map(|stamp| text(&stamp, fields::DEBIAN_SNAPSHOT, names::snapshot)).transpose()?;
    let (packages, exclude) = choose(&packages, &exclude, release, arch)?;
    let components: Vec<String> = texts(&components, fields::DEBIAN_COMPONENTS, names::archive_component)?;
    Ok(Debian {
        suite,
        components: if components.is_empty() { vec!["main".to_owned()] } else { distinct(components) },
        mirrors: self::mirrors(&mirrors, fields::DEBIAN_MIRRORS, snapshot.as_deref())?,
        security_mirrors: self::mirrors(&security_mirrors, fields::DEBIAN_SECURITY_MIRRORS, snapshot.as_deref())?,
        snapshot,
        keyring: keyring.map(|keyring| self::keyring(&keyring, context)).transpose()?,
        packages,
        exclude,
    })
}

/// Adds a package that another part of the profile needs, unless the profile requests a version of
/// it or excludes it.
pub(super) fn provide(debian: &mut Debian, name: &str) {
    let asked = |package: &String| package.split('=').next() == Some(name);
    if !debian.exclude.contains(name) && !debian.packages.iter().any(asked) {
        debian.packages.insert(name.to_owned());
    }
}

fn suite(suite: Option<&At<String>>, known: &BTreeMap<At<String>, RawSuite>) -> Result<String, Fault> {
    let Some(suite) = suite else { return Ok(kiln_debian::DEFAULT_SUITE.to_owned()) };
    let name = text(suite, fields::DEBIAN_SUITE, names::suite)?;
    // Suites with which kiln is not tested need an entry under `debian.suites`.
    let tested = kiln_debian::SUITES.iter().filter(|suite| suite.tested).map(|suite| suite.name);
    let known: BTreeSet<&str> = tested.chain(known.keys().map(|name| name.value.as_str())).collect();
    if known.contains(name.as_str()) {
        return Ok(name);
    }
    let known: Vec<&str> = known.into_iter().collect();
    let hint = match suggest::nearest(&name, known.iter().copied()) {
        Some(near) => format!(", did you mean {near:?}?"),
        None => format!(" (known are {}; another one needs an entry under debian.suites)", known.join(", ")),
    };
    Err(suite.fault_of(fields::DEBIAN_SUITE, format!("unknown suite {name:?}{hint}")))
}

fn mirrors(mirrors: &[At<String>], key: Field, snapshot: Option<&str>) -> Result<Vec<Url>, Fault> {
    for mirror in mirrors {
        if mirror.value.contains("{snapshot}") && snapshot.is_none() {
            return Err(mirror.fault_of(
                key,
                format!("{:?} needs debian.snapshot, which is not set", Url::from(mirror.value.as_str())),
            ));
        }
    }
    Ok(distinct(texts(mirrors, key, names::url)?).into_iter().map(Url::from).collect())
}

fn keyring(value: &At<String>, context: &Context<'_>) -> Result<std::path::PathBuf, Fault> {
    let path = host_path(value, fields::DEBIAN_KEYRING, context)?;
    if path.is_file() {
        return Ok(path);
    }
    Err(value.fault_of(fields::DEBIAN_KEYRING, format!("there is no file {}", path.display())))
}

/// Requested and excluded packages. Where two profiles disagree, the child's setting applies; a
/// contradiction in one file is an error.
fn choose(
    packages: &[At<String>],
    exclude: &[At<String>],
    release: &Release,
    arch: Arch,
) -> Result<(BTreeSet<String>, BTreeSet<String>), Fault> {
    let mut wanted: BTreeMap<String, (At<String>, String)> = BTreeMap::new();
    for package in packages {
        let package = At { value: package.value.replace("{arch}", arch.as_str()), pos: package.pos };
        let request = text(&package, fields::DEBIAN_PACKAGES, names::package_request)?;
        let name = request.split('=').next().unwrap_or_default().to_owned();
        match wanted.get(&name) {
            Some((first, other)) if *other != request && first.pos.source == package.pos.source => {
                return Err(package.fault_of(fields::DEBIAN_PACKAGES, format!("{request} contradicts {other} above")));
            }
            // A child's request replaces its parent's: sources are numbered from the child upwards.
            Some((first, _)) if first.pos.source < package.pos.source => {}
            _ => {
                wanted.insert(name, (package, request));
            }
        }
    }
    let mut excluded = BTreeSet::new();
    for package in exclude {
        let name = text(package, fields::DEBIAN_EXCLUDE, names::package)?;
        if release.packages.contains(&name) {
            return Err(package.fault_of(fields::DEBIAN_EXCLUDE, format!("release {} needs {name}", release.name)));
        }
        match wanted.get(&name) {
            Some((wish, _)) if wish.pos.source == package.pos.source => {
                return Err(package.fault_of(fields::DEBIAN_EXCLUDE, format!("{name} is in debian.packages as well")));
            }
            Some((wish, _)) if wish.pos.source < package.pos.source => continue,
            _ => {}
        }
        wanted.remove(&name);
        excluded.insert(name);
    }
    Ok((wanted.into_values().map(|(_, request)| request).collect(), excluded))
}
