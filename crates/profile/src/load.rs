//! Finds, reads and merges the files of a profile.

use super::check::{self, ClusterFile, Context, ReleaseFile};
use super::de;
use super::error::ProfileError;
use super::key::{Field, fields};
use super::merge::{merge, without_nulls};
use super::model::{Arch, Profile};
use super::node::{MAX_FILE, Node, Value};
use super::output::Output;
use super::place::{At, Fault, Pos, Sources};
use super::places::{Places, Written};
use super::raw::RawProfile;
use super::reach::Reach;
use super::suggest;
use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Options of the command line that replace keys of a profile.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--release`: a name or a path.
    pub release: Option<String>,
    /// `--cluster`: a name or a path.
    pub cluster: Option<String>,
    /// `--arch`.
    pub arch: Option<Arch>,
    /// `--suite`.
    pub suite: Option<String>,
    /// `--mirror`; replaces the profile's mirrors unless empty.
    pub mirrors: Vec<String>,
    /// `--security-mirror`; replaces the profile's security mirrors unless empty.
    pub security_mirrors: Vec<String>,
    /// `--snapshot`.
    pub snapshot: Option<String>,
    /// `--image-version`.
    pub image_version: Option<String>,
    /// `--output`; replaces the profile's outputs unless empty.
    pub outputs: BTreeSet<Output>,
    /// `--overlay`: overlays applied after those of the profile, each a name or, with a `/`, a
    /// path.
    pub overlays: Vec<PathBuf>,
    /// `--allow-files-outside`: profiles may name files outside of the project.
    pub files_outside: bool,
}

/// Loads the profile of `role` from the directory `dir`.
///
/// `role` is a name (`worker`: `dir/worker.yaml`) or the path of a YAML file (which contains a `/`
/// or ends in `.yaml`). `home` replaces `~`; `host_arch` is the default architecture.
///
/// Profiles reach files in the directory that holds `dir`, and those that `role` and `overrides`
/// name with what is beside them.
///
/// # Errors
/// [`ProfileError`]: the first error, with its file, line and column.
pub fn load(
    dir: &Path,
    role: &str,
    overrides: &Overrides,
    home: Option<&Path>,
    host_arch: Arch,
) -> Result<Profile, ProfileError> {
    let path = find_role(dir, role)?;
    let mut reach = match overrides.files_outside {
        true => Reach::everything(),
        false => Reach::project(dir, home),
    };
    if is_path(role) {
        reach.add(&path);
    }
    let mut loader = Loader { dir, sources: Sources::default(), reach };
    let loaded = loader.load(&path, overrides, home, host_arch);
    loaded.map_err(|stop| match stop {
        Stop::Fault(fault) => ProfileError::Value {
            place: loader.sources.place(fault.pos),
            text: fault.message(),
            key: fault.key,
            rule: fault.rule,
        },
        Stop::Error(error) => error,
    })
}

/// The roles in the directory `dir`, sorted: the stems of its YAML files.
///
/// # Errors
/// [`ProfileError::NoProfiles`] when the directory cannot be listed.
pub fn roles(dir: &Path) -> Result<Vec<String>, ProfileError> {
    stems(dir).map_err(|source| ProfileError::NoProfiles { dir: dir.to_owned(), source })
}

fn stems(dir: &Path) -> std::io::Result<Vec<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") && path.is_file() {
            names.extend(path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned));
        }
    }
    Ok(names.into_iter().collect())
}

/// Whether a reference to a file is a path rather than a name.
fn is_path(name: &str) -> bool {
    name.contains('/') || name.ends_with(".yaml") || name.ends_with(".yml")
}

fn find_role(dir: &Path, role: &str) -> Result<PathBuf, ProfileError> {
    if is_path(role) {
        return Ok(PathBuf::from(role));
    }
    let path = dir.join(format!("{role}.yaml"));
    if path.is_file() && check::names::role(role).is_ok() {
        return Ok(path);
    }
    let known = roles(dir)?;
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    Err(ProfileError::NoRole { role: role.to_owned(), dir: dir.to_owned(), hint: suggest::hint(role, &known) })
}

/// Why loading stopped: an error in a file, or a file that cannot be read.
enum Stop {
    Fault(Fault),
    Error(ProfileError),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<ProfileError> for Stop {
    fn from(error: ProfileError) -> Self {
        Self::Error(error)
    }
}

/// The most files that extend each other, each of which is merged.
const MAX_LAYERS: usize = 32;

struct Loader<'a> {
    dir: &'a Path,
    sources: Sources,
    /// The files that profiles may name.
    reach: Reach,
}

impl Loader<'_> {
    fn load(
        &mut self,
        path: &Path,
        overrides: &Overrides,
        home: Option<&Path>,
        host_arch: Arch,
    ) -> Result<Profile, Stop> {
        let merged = without_nulls(self.layers(path)?);
        let root = merged.pos;
        let mut raw: RawProfile = de::decode(&merged)?;
        let options = self.apply(overrides, &mut raw);
        let (release, release_node) = self.release(&raw, root)?;
        let (cluster, cluster_node) = self.cluster(overrides.cluster.as_deref())?.unzip();
        let overlays_dir = beside(self.dir, "overlays");
        let places = Places::new(Written {
            sources: self.sources.clone(),
            profile: Some(merged),
            release: Some(release_node),
            cluster: cluster_node,
            options,
        });
        let Self { sources, reach, .. } = &*self;
        let context = Context { sources, reach, places, path, root, overlays_dir: &overlays_dir, home, host_arch };
        Ok(check::profile(raw, release, cluster, &context)?)
    }

    /// The file at `path`, merged with all files that it extends.
    fn layers(&mut self, path: &Path) -> Result<Node, Stop> {
        let mut layers = Vec::new();
        let mut chain = Vec::new();
        let mut next = Some(path.to_owned());
        while let Some(path) = next.take() {
            chain.push((path.clone(), identity(&path)));
            let node = self.read(&path)?;
            let raw: RawProfile = de::decode(&without_nulls(node.clone()))?;
            layers.push(node);
            let Some(parent) = raw.extends else { break };
            if chain.len() >= MAX_LAYERS {
                return Err(parent.fault(format!("more than {MAX_LAYERS} files extend each other")).into());
            }
            let path = self.parent(&parent)?;
            if let Some(start) = chain.iter().position(|(_, known)| *known == identity(&path)) {
                let names: Vec<String> = chain[start..].iter().map(|(path, _)| path.display().to_string()).collect();
                let text = format!("extends forms a cycle: {} → {}", names.join(" → "), path.display());
                return Err(parent.fault(text).into());
            }
            next = Some(path);
        }
        let parents = layers.into_iter().rev();
        parents.reduce(merge).ok_or_else(|| unreachable_empty(path))
    }

    fn parent(&mut self, extends: &At<String>) -> Result<PathBuf, Stop> {
        let beside = self.sources.dir(extends.pos).to_owned();
        let found = self.reference(extends, &[&beside, self.dir])?;
        found.map_err(|known| {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let hint = suggest::hint(&extends.value, &known);
            extends.fault(format!("there is no profile {:?}{hint}", extends.value)).into()
        })
    }

    fn release(&mut self, raw: &RawProfile, root: Pos) -> Result<(ReleaseFile, Node), Stop> {
        let near = |loader: &Self, pos| [loader.sources.dir(pos).join("releases"), loader.dir.join("releases")];
        let Some(name) = raw.release.clone() else {
            let known = stems(&self.dir.join("releases")).unwrap_or_default().join(", ");
            return Err(root.fault(format!("no release is named; add \"release: NAME\" (there are {known})")).into());
        };
        let dirs = near(self, name.pos);
        let path = match self.reference(&name, &[&dirs[0], &dirs[1]])? {
            Ok(path) => path,
            Err(known) => {
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                let text = format!("there is no release {:?}{}", name.value, suggest::hint(&name.value, &known));
                return Err(name.fault(text).into());
            }
        };
        let node = without_nulls(self.read(&path)?);
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(((At { value: stem, pos: name.pos }, de::decode(&node)?, node.pos), node))
    }

    fn cluster(&mut self, name: Option<&str>) -> Result<Option<(ClusterFile, Node)>, Stop> {
        let Some(name) = name.map(|name| self.sources.option("--cluster", name.to_owned())) else { return Ok(None) };
        let path = match self.reference(&name, &[&beside(self.dir, "clusters")])? {
            Ok(path) => path,
            Err(known) => {
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                let text = format!("there is no cluster {:?}{}", name.value, suggest::hint(&name.value, &known));
                return Err(name.fault(text).into());
            }
        };
        let node = without_nulls(self.read(&path)?);
        let value = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Some(((At { value, pos: name.pos }, de::decode(&node)?, node.pos), node)))
    }

    /// The file to which a name or a path refers; for a name that is in none of `dirs`, the names
    /// that exist.
    fn reference(&mut self, name: &At<String>, dirs: &[&Path]) -> Result<Result<PathBuf, Vec<String>>, Stop> {
        if is_path(&name.value) {
            let path = self.sources.dir(name.pos).join(&name.value);
            match name.pos.is_option() {
                true => self.reach.add(&path),
                false => self.reach.check(&path).map_err(|why| name.fault(why))?,
            }
            if path.is_file() {
                return Ok(Ok(path));
            }
            return Err(name.fault(format!("there is no file {}", path.display())).into());
        }
        if check::names::file_stem(&name.value).is_ok() {
            let mut paths = dirs.iter().map(|dir| dir.join(format!("{}.yaml", name.value)));
            if let Some(path) = paths.find(|path| path.is_file()) {
                return Ok(Ok(path));
            }
        }
        Ok(Err(dirs
            .iter()
            .flat_map(|dir| stems(dir).unwrap_or_default())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()))
    }

    fn read(&mut self, path: &Path) -> Result<Node, Stop> {
        // A name may lead elsewhere, too: the file may be a link.
        self.reach.check(path).map_err(|why| ProfileError::OutOfReach { why })?;
        let text = read_text(path)?;
        let source = self.sources.file(path);
        let node = Node::parse(&text, source)?;
        match node.value {
            Value::Null => Ok(Node::empty(source)),
            _ => Ok(node),
        }
    }

    /// Replaces values of `raw` by those of options; returns the keys replaced.
    fn apply(&mut self, overrides: &Overrides, raw: &mut RawProfile) -> Vec<(Field, Pos)> {
        // The cluster is loaded by its name. Architecture and outputs are already checked.
        let Overrides {
            release,
            cluster: _,
            arch,
            suite,
            mirrors,
            security_mirrors,
            snapshot,
            image_version,
            outputs,
            overlays,
            files_outside: _, // in `reach`
        } = overrides.clone();
        let mut options = Vec::new();
        let sources = &mut self.sources;
        let mut set = |key: Field, field: &mut Option<At<String>>, option, value: Option<String>| {
            if let Some(value) = value {
                let value = sources.option(option, value);
                options.push((key, value.pos));
                *field = Some(value);
            }
        };
        set(fields::RELEASE, &mut raw.release, "--release", release);
        set(fields::DEBIAN_SUITE, &mut raw.debian.suite, "--suite", suite);
        set(fields::DEBIAN_SNAPSHOT, &mut raw.debian.snapshot, "--snapshot", snapshot);
        set(fields::IMAGE_VERSION, &mut raw.image.version, "--image-version", image_version);
        let mut set = |key: Field, list: &mut Vec<At<String>>, option, values: Vec<String>| {
            if !values.is_empty() {
                *list = values.into_iter().map(|value| sources.option(option, value)).collect();
                options.extend(list.first().map(|value| (key, value.pos)));
            }
        };
        set(fields::DEBIAN_MIRRORS, &mut raw.debian.mirrors, "--mirror", mirrors);
        let security = &mut raw.debian.security_mirrors;
        set(fields::DEBIAN_SECURITY_MIRRORS, security, "--security-mirror", security_mirrors);
        if let Some(arch) = arch {
            raw.arch = Some(sources.option("--arch", arch));
        }
        if !outputs.is_empty() {
            raw.outputs = outputs.into_iter().map(|output| sources.option("--output", output)).collect();
        }
        for overlay in overlays {
            raw.overlays.push(sources.option("--overlay", overlay.to_string_lossy().into_owned()));
        }
        options
    }
}

/// The directory `name` beside the directory of profiles.
fn beside(profiles: &Path, name: &str) -> PathBuf {
    match (profiles.file_name(), profiles.parent()) {
        (Some(_), Some(parent)) => parent.join(name),
        _ => profiles.join("..").join(name),
    }
}

fn unreachable_empty(path: &Path) -> Stop {
    let source = std::io::Error::other("there is nothing to merge");
    ProfileError::Read { path: path.to_owned(), source }.into()
}

/// The canonical path of a file.
fn identity(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn read_text(path: &Path) -> Result<String, ProfileError> {
    let failed = |source| ProfileError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    kiln_file::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_FILE {
        return Err(ProfileError::TooLarge { path: path.to_owned() });
    }
    String::from_utf8(bytes)
        .map_err(|error| ProfileError::NotUtf8 { path: path.to_owned(), offset: error.utf8_error().valid_up_to() })
}
