//! The Kubernetes release, its components, and other artifacts.

use super::super::authority;
use super::super::key::{Field, Key, fields};
use super::super::model::{Arch, Artifact, ArtifactFormat, ArtifactSource, ContainerdSeries, Release, TarMember};
use super::super::place::{At, Fault, Pos};
use super::super::raw::{Demand, Map, RawArtifact, RawRelease};
use super::super::suggest;
use super::{Context, absolute, files, host_path, names, required, required_of, text};
use kiln_kubernetes::Minor;
use kiln_tree::Digest;
use kiln_url::Url;
use std::collections::{BTreeMap, BTreeSet};

/// A release file: its name, its contents, and the position where it begins.
pub(in super::super) type ReleaseFile = (At<String>, RawRelease, Pos);

pub(super) fn release(
    (name, raw, pos): ReleaseFile,
    chosen: &Map<At<Demand>>,
    arch: Arch,
    context: &Context<'_>,
) -> Result<Release, Fault> {
    let RawRelease { kubernetes, pause_image, containerd_series, components, packages, images: _ } = raw; // with the profile's
    let what = format!("release {}", name.value);
    let kubernetes = required_of(&kubernetes, pos, &what, fields::RELEASE_KUBERNETES)?;
    let pause_image = required_of(&pause_image, pos, &what, fields::RELEASE_PAUSE_IMAGE)?;
    for (component, package) in &packages {
        text(component, fields::RELEASE_PACKAGES, names::label)?;
        text(package, fields::RELEASE_PACKAGES, names::package)?;
        if components.contains_key(component) {
            return Err(
                component.fault_of(fields::RELEASE_PACKAGES, format!("{} is in components as well", component.value))
            );
        }
    }
    let chosen = choose(chosen, &components, &packages, &name.value)?;
    let selected = components.iter().filter(|(component, _)| chosen.contains(component.value.as_str()));
    let series = required_of(&containerd_series, pos, &what, fields::RELEASE_CONTAINERD_SERIES)?;
    let kubernetes = kubernetes.check(fields::RELEASE_KUBERNETES, |text| names::kubernetes_version(text))?;
    runtime_interface(kubernetes.minor, series, &components)?;
    Ok(Release {
        kubernetes,
        pause_image: text(pause_image, fields::RELEASE_PAUSE_IMAGE, names::image_reference)?,
        components: selected
            .map(|(name, raw)| {
                let key = fields::RELEASE_COMPONENT;
                Ok((name.value.clone(), artifact(name, raw, fields::RELEASE_COMPONENTS, key, arch, context)?))
            })
            .collect::<Result<_, Fault>>()?,
        packages: packages
            .iter()
            .filter(|(component, _)| chosen.contains(component.value.as_str()))
            .map(|(_, package)| package.value.clone())
            .collect(),
        containerd: series.value,
        name: name.value,
    })
}

/// Checks that kubelet and containerd support a common version of the CRI.
///
/// containerd supports v1 since 1.6, and only v1 since 2.0.
fn runtime_interface(
    minor: Minor,
    series: &At<ContainerdSeries>,
    components: &Map<At<RawArtifact>>,
) -> Result<(), Fault> {
    match series.value {
        ContainerdSeries::V2 if !minor.speaks_cri_v1() => {
            return Err(series.fault_of(
                fields::RELEASE_CONTAINERD_SERIES,
                format!("kubelet 1.{minor} speaks v1alpha2 of the CRI, which containerd 2 removed; use containerd 1.7"),
            ));
        }
        ContainerdSeries::V1 if !minor.supports_containerd_1() => {
            return Err(series.fault_of(
                fields::RELEASE_CONTAINERD_SERIES,
                format!("Kubernetes 1.{minor} no longer supports containerd 1; use containerd 2.2 or later"),
            ));
        }
        _ => {}
    }
    let containerd = components.iter().find(|(name, _)| name.value == "containerd");
    let Some(version) = containerd.and_then(|(_, raw)| raw.value.version.as_ref()) else { return Ok(()) };
    let mut numbers = version.value.split('.').map_while(|number| number.parse::<u32>().ok());
    let (major, second) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    let wanted = if series.value == ContainerdSeries::V1 { 1 } else { 2 };
    let key = &fields::RELEASE_COMPONENT.of("containerd");
    if major != wanted {
        let why = format!(
            "version {} does not belong to containerdSeries {wanted}, whose configuration it would get",
            version.value
        );
        return Err(version.fault_of(key, why).by(authority::CONTAINERD_SERIES));
    }
    if minor.speaks_only_cri_v1() && (major, second) < (1, 6) {
        let why = format!(
            "kubelet 1.{minor} speaks v1 of the CRI only, which containerd {} does not; use 1.6 or later",
            version.value
        );
        return Err(version.fault_of(key, why).by(authority::CONTAINERD_SERIES));
    }
    Ok(())
}

/// The components of the image: those that the profile names and the release has.
fn choose<'a>(
    chosen: &'a Map<At<Demand>>,
    components: &Map<At<RawArtifact>>,
    packages: &Map<At<String>>,
    release: &str,
) -> Result<BTreeSet<&'a str>, Fault> {
    let there: BTreeSet<&str> = components.keys().chain(packages.keys()).map(|name| name.value.as_str()).collect();
    let mut taken = BTreeSet::new();
    for (name, demand) in chosen {
        text(name, fields::COMPONENTS, names::label)?;
        match (demand.value, there.contains(name.value.as_str())) {
            (Demand::Required, false) => {
                let there: Vec<&str> = there.into_iter().collect();
                let hint = suggest::hint(&name.value, &there);
                return Err(
                    name.fault_of(fields::COMPONENTS, format!("release {release} has no {:?}{hint}", name.value))
                );
            }
            (Demand::Required | Demand::Optional, true) => {
                taken.insert(name.value.as_str());
            }
            (Demand::Optional, false) | (Demand::Omitted, _) => {}
        }
    }
    Ok(taken)
}

/// A fetched file for `arch`, an entry of `list` with the keys of `entry`.
pub(super) fn artifact(
    name: &At<String>,
    raw: &At<RawArtifact>,
    list: Field,
    entry: Field,
    arch: Arch,
    context: &Context<'_>,
) -> Result<Artifact, Fault> {
    let name = text(name, list, names::label)?;
    let key = &entry.of(&name);
    let RawArtifact { version, url, file, sha256, install, mode, extract, deb } = &raw.value;
    let version = text(required(version, raw.pos, key, "version")?, key, names::version)?;
    let origin = Origin { url: url.as_ref(), file: file.as_ref(), sha256, version: Some(&version) };
    let (source, sha256) = origin.resolve(key, raw.pos, arch, context)?;
    let deb = deb.as_ref().is_some_and(|deb| deb.value);
    let format = match (install, extract.is_empty(), deb) {
        (Some(path), true, false) => {
            ArtifactFormat::Raw { destination: absolute(path, key)?, mode: files::mode(mode.as_ref(), key, 0o755)? }
        }
        (None, false, false) => ArtifactFormat::Tar { members: members(extract, key)? },
        (None, true, true) => ArtifactFormat::Deb,
        _ => return Err(raw.fault_of(key, "give one of \"install\", \"extract\" and \"deb: true\"")),
    };
    if let (Some(mode), false) = (mode, matches!(format, ArtifactFormat::Raw { .. })) {
        return Err(mode.fault_of(key, "\"mode\" is valid only with \"install\""));
    }
    Ok(Artifact { name, version, source, sha256, format })
}

/// The source of a fetched file, before it is resolved for an architecture.
pub(super) struct Origin<'a> {
    pub url: Option<&'a At<String>>,
    pub file: Option<&'a At<String>>,
    pub sha256: &'a Map<At<String>>,
    /// The text that replaces `{version}`, if any.
    pub version: Option<&'a str>,
}

impl Origin<'_> {
    /// The source for `arch`, and its digest; `key` is at `pos`.
    pub(super) fn resolve(
        self,
        key: &Key,
        pos: Pos,
        arch: Arch,
        context: &Context<'_>,
    ) -> Result<(ArtifactSource, Option<Digest>), Fault> {
        let others: Vec<&str> = self.sha256.keys().map(|key| key.value.as_str()).collect();
        let sha256 = digest(self.sha256, key, arch)?;
        let source = match (self.url, self.file) {
            (Some(url), None) if sha256.is_none() => {
                let arch = arch.as_str();
                let there = if others.is_empty() {
                    String::new()
                } else {
                    format!(" (there is one for {})", others.join(", "))
                };
                return Err(url.fault_of(key, format!("a url needs a sha256 for {arch}{there}")));
            }
            (Some(url), None) => ArtifactSource::Url(text(&self.substituted(url, key, arch)?, key, names::url)?.into()),
            (None, Some(file)) => ArtifactSource::File(host_path(&self.substituted(file, key, arch)?, key, context)?),
            _ => return Err(pos.fault_of(key, "give either \"url\" or \"file\"")),
        };
        Ok((source, sha256))
    }

    fn substituted(&self, template: &At<String>, key: &Key, arch: Arch) -> Result<At<String>, Fault> {
        let value = template.value.replace("{arch}", arch.as_str());
        let (value, replaced) = match self.version {
            Some(version) => (value.replace("{version}", version), "{version} and {arch} are"),
            None => (value, "{arch} is"),
        };
        match value.contains(['{', '}']) {
            true => {
                // Shown as a URL, which it may be.
                let shown = Url::from(template.value.as_str());
                Err(template.fault_of(key, format!("only {replaced} replaced in {shown:?}")))
            }
            false => Ok(At { value, pos: template.pos }),
        }
    }
}

/// The digest for `arch`; those for other architectures are checked as well.
fn digest(sha256: &Map<At<String>>, key: &Key, arch: Arch) -> Result<Option<Digest>, Fault> {
    let mut digests = BTreeMap::new();
    for (name, value) in sha256 {
        const KEYS: [&str; 3] = ["all", "amd64", "arm64"];
        let key = key.below("sha256");
        if !KEYS.contains(&name.value.as_str()) {
            let hint = suggest::hint(&name.value, &KEYS);
            return Err(name.fault_of(key, format!("unknown architecture {:?}{hint}", names::short(&name.value))));
        }
        let digest: Digest = value.check(key, |text| text.parse().map_err(|error| format!("{error}")))?;
        digests.insert(name.value.as_str(), digest);
    }
    Ok(digests.get(arch.as_str()).or_else(|| digests.get("all")).copied())
}

fn members(extract: &Map<At<String>>, key: &Key) -> Result<Vec<TarMember>, Fault> {
    let member = |(member, destination): (&At<String>, &At<String>)| {
        let climbs = member.value.split('/').any(|part| part == "..") || member.value.chars().any(char::is_control);
        if climbs || member.value.starts_with('/') {
            let why = format!("{:?} is not a member's path", names::short(&member.value));
            return Err(member.fault_of(key.below("extract"), why));
        }
        Ok(TarMember { member: member.value.clone(), destination: absolute(destination, key)? })
    };
    extract.iter().map(member).collect()
}
