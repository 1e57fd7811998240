//! Checks every value of a merged profile: [`RawProfile`] → [`Profile`].
//!
//! The raw structs are destructured without `..`, so a key without a check does not compile.

mod agree;
mod cgroups;
mod cluster;
mod containerd;
mod cri;
mod debian;
mod disk;
mod files;
mod images;
mod kernel;
mod kube_proxy;
mod kubelet;
mod kubelet_args;
mod modules;
pub(crate) mod names;
mod network;
mod pem;
mod pod_network;
mod release;
mod resolver;
mod special;
mod sysctls;
mod unit_text;
mod units;

pub(super) use cluster::ClusterFile;
pub(super) use release::ReleaseFile;

use super::key::{Field, Key, fields};
use super::model::{Arch, Image, Profile, Seed};
use super::output::Output;
use super::place::{At, Fault, Pos, Sources};
use super::places::Places;
use super::raw::{RawImage, RawProfile, RawSeed};
use super::reach::Reach;
use globset::GlobBuilder;
use kiln_tree::{PathError, TreePath};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What checks need besides the profile.
pub(super) struct Context<'a> {
    /// The files that were read, from which relative paths start.
    pub sources: &'a Sources,
    /// The files that profiles may name.
    pub reach: &'a Reach,
    /// The position of each key.
    pub places: Places,
    /// The role's file.
    pub path: &'a Path,
    /// The start of the role's file, for errors about missing keys.
    pub root: Pos,
    /// The directory of overlays that are given by name.
    pub overlays_dir: &'a Path,
    /// The directory that replaces `~`.
    pub home: Option<&'a Path>,
    /// The architecture of a profile that sets none.
    pub host_arch: Arch,
}

/// Checks a merged profile with the files of its release and its cluster.
pub(super) fn profile(
    raw: RawProfile,
    release: ReleaseFile,
    cluster: Option<ClusterFile>,
    context: &Context<'_>,
) -> Result<Profile, Fault> {
    let RawProfile {
        extends: _, // merged already
        image,
        arch,
        debian,
        kernel,
        release: _, // loaded by name
        components,
        kubelet,
        kubelet_config,
        kube_proxy,
        cri,
        containerd,
        cni,
        artifacts,
        images,
        units,
        users,
        groups,
        files,
        overlays,
        alternatives,
        diversions,
        prune,
        privileged,
        root,
        seed: RawSeed { sources },
        disk,
        outputs,
    } = raw;
    let role = context.path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    names::role(&role).map_err(|text| context.root.fault(text))?;
    let arch = arch.map_or(context.host_arch, |arch| arch.value);
    let preloaded = [&release.1.images, &images].into_iter().find_map(|images| images.keys().next()).cloned();
    let images = images::images(&release.1.images, &images, arch, context)?;
    let release = release::release(release, &components, arch, context)?;
    let image = self::image(&image, &role, &release.kubernetes.to_string())?;
    let mut profile = Profile {
        image,
        arch,
        cluster: cluster.as_ref().map(|file| cluster::cluster(file, context)).transpose()?,
        debian: debian::debian(debian, &release, arch, context)?,
        kernel: kernel::kernel(&kernel, arch)?,
        kubelet: kubelet::kubelet(&kubelet, release.kubernetes.minor, arch)?,
        kubelet_config: kubelet_config.map(|source| source.value).unwrap_or_default(),
        kube_proxy: kube_proxy.as_ref().map(|raw| kube_proxy::kube_proxy(raw, &release)).transpose()?,
        cri: cri::cri(cri.as_ref(), &release, &containerd, preloaded.as_ref())?,
        containerd: containerd::containerd(&containerd, release.containerd)?,
        cni: network::cni(&cni)?,
        artifacts: artifacts
            .iter()
            .map(|(name, raw)| release::artifact(name, raw, fields::ARTIFACTS, fields::ARTIFACT, arch, context))
            .collect::<Result<_, _>>()?,
        images,
        units: units::units(&units)?,
        accounts: files::accounts(&users, &groups)?,
        files: files::inline(files)?,
        overlays: overlays.iter().map(|overlay| files::overlay(overlay, context)).collect::<Result<_, _>>()?,
        alternatives: files::alternatives(&alternatives)?,
        diversions: files::diversions(&diversions)?,
        prune: files::prune(&prune)?,
        privileged: files::privileged(&privileged)?,
        root: root.map(|root| root.value).unwrap_or_default(),
        seed: Seed { sources: sources.iter().map(|source| source.value).collect() },
        disk: disk::disk(&disk)?,
        outputs: match outputs.is_empty() {
            true => [Output::Pxe].into(),
            false => outputs.iter().map(|output| output.value).collect(),
        },
        release,
        role,
        path: context.path.to_owned(),
        places: context.places.clone(),
    };
    agree::check(&profile)?;
    kubelet::provide(&mut profile);
    cri::provide(&mut profile);
    kube_proxy::provide(&mut profile);
    Ok(profile)
}

fn image(raw: &RawImage, role: &str, kubernetes: &str) -> Result<Image, Fault> {
    let RawImage { id, version } = raw;
    let word = |word: &Option<At<String>>, key, default: String| match word {
        Some(word) => text(word, key, names::image_word),
        None => Ok(default),
    };
    Ok(Image {
        id: word(id, fields::IMAGE_ID, format!("kiln-{role}"))?,
        version: word(version, fields::IMAGE_VERSION, kubernetes.to_owned())?,
    })
}

/// Rejects a key that kiln writes itself.
fn managed(key: &At<String>, within: Field, table: &[(&str, &str)]) -> Result<(), Fault> {
    match table.iter().find(|(name, _)| *name == key.value) {
        Some((name, instead)) => Err(key.fault_of(within, format!("{name} cannot be set here, {instead}"))),
        None => Ok(()),
    }
}

/// A string that `check` accepts, the value of `key`.
fn text(
    value: &At<String>,
    key: impl Into<Key>,
    check: impl FnOnce(&str) -> Result<(), String>,
) -> Result<String, Fault> {
    value.check(key, |text| check(text))?;
    Ok(value.value.clone())
}

/// Strings that `check` accepts.
fn texts<C: FromIterator<String>>(
    values: &[At<String>],
    key: impl Into<Key> + Copy,
    check: impl Fn(&str) -> Result<(), String>,
) -> Result<C, Fault> {
    values.iter().map(|value| text(value, key, &check)).collect()
}

/// Without repetitions, in the given order.
fn distinct(mut values: Vec<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    values.retain(|value| seen.insert(value.clone()));
    values
}

/// The required value `name` below `key`, which is at `pos`.
fn required<'a, T>(value: &'a Option<At<T>>, pos: Pos, key: impl Into<Key>, name: &str) -> Result<&'a At<T>, Fault> {
    value.as_ref().ok_or_else(|| missing(pos, key, name))
}

/// The fault that `name` is missing below `key`.
fn missing(pos: Pos, key: impl Into<Key>, name: &str) -> Fault {
    pos.fault_of(key, format!("\"{name}\" is missing")).by_kiln()
}

/// The required value of `field` in a file that begins at `pos` and that messages call `what`.
fn required_of<'a, T>(value: &'a Option<At<T>>, pos: Pos, what: &str, field: Field) -> Result<&'a At<T>, Fault> {
    value.as_ref().ok_or_else(|| missing_of(pos, what, field))
}

/// The fault that `field` is missing in the file `what`.
fn missing_of(pos: Pos, what: &str, field: Field) -> Fault {
    pos.fault(format!("{what}: \"{}\" is missing", field.path()))
}

/// An absolute path in the image, as a path of the tree.
fn absolute(value: &At<String>, key: impl Into<Key>) -> Result<TreePath, Fault> {
    value.check(key, |text| {
        if !text.starts_with('/') {
            return Err(format!("{:?} is not an absolute path", names::short(text)));
        }
        TreePath::new(text).map_err(|error| match error {
            PathError::Empty => "\"/\" is the root itself, name something below it".to_owned(),
            error => error.to_string(),
        })
    })
}

/// Checks a glob of paths without a leading slash.
fn glob(text: &str) -> Result<(), String> {
    if text.is_empty() || text.starts_with('/') {
        return Err(format!("{:?} is not a glob of paths without a leading slash", names::short(text)));
    }
    match GlobBuilder::new(text).literal_separator(true).build() {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{:?} is not a glob: {}", names::short(text), error.kind())),
    }
}

/// A path on the build host: `~/` is the home directory, and a relative path starts at the
/// directory of the file that names it. A file names only what is in reach of profiles.
fn host_path(value: &At<String>, key: impl Into<Key>, context: &Context<'_>) -> Result<PathBuf, Fault> {
    let key = key.into();
    let path = match value.value.strip_prefix("~/") {
        Some(below) => match context.home {
            Some(home) => home.join(below),
            None => return Err(value.fault_of(key, format!("{:?} needs a home directory, set HOME", value.value))),
        },
        None => context.sources.dir(value.pos).join(&value.value),
    };
    if !value.pos.is_option() {
        context.reach.check(&path).map_err(|why| value.fault_of(key, why).by_kiln())?;
    }
    Ok(path)
}
