//! The sources of a seed. The first one asked that has a seed wins; see [`asked`].

mod asked;
mod cloud;
mod cmdline;
mod credential;
mod device;
mod download;
mod fat;
mod forget;
mod iso9660;
mod volume;

pub use asked::{asked, remark};
pub use download::download;
pub use forget::{Forgotten, forget};

use crate::net::{NetError, Network};
use crate::root::{FileError, RootDir};
use crate::seed::{self, MAX_SIZE, Seed, SeedError};
use crate::yaml;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;
use zeroize::Zeroizing;

/// A way to deliver a seed.
pub struct Source {
    /// Its name in profiles, one of [`seed::SOURCES`].
    pub key: &'static str,
    /// Its name on the console.
    pub name: &'static str,
    read: fn(&Places<'_>) -> Result<Option<Found>, SourceError>,
}

impl Source {
    /// Whether everybody who may attach a disk can be this source.
    fn is_volume(&self) -> bool {
        matches!(self.key, seed::NOCLOUD | seed::CONFIG_DRIVE)
    }
}

/// All sources in the order in which they are asked: first those that only the owner of the machine
/// can set, before it starts.
pub static SOURCES: [Source; 5] = [
    Source { key: seed::CMDLINE, name: "kernel command line", read: cmdline::read },
    Source { key: seed::CREDENTIAL, name: "systemd credential kiln.seed", read: credential::read },
    Source { key: seed::NOCLOUD, name: "NoCloud volume", read: volume::nocloud },
    Source { key: seed::CONFIG_DRIVE, name: "OpenStack config drive", read: volume::config_drive },
    Source { key: seed::USER_DATA, name: "user data", read: cloud::user_data },
];

/// The places where sources look.
#[derive(Debug)]
pub struct Places<'a> {
    /// Files.
    pub root: &'a RootDir,
    /// systemd's directory of the service's credentials.
    pub credentials: Option<PathBuf>,
    /// Servers.
    pub network: &'a Network,
}

/// The values that all nodes of a cluster share, as a seed; `kiln build --cluster` puts it into the
/// image.
const CLUSTER: &str = "/usr/lib/kiln/cluster.yaml";

/// The bytes of a seed.
pub struct Found {
    /// The document.
    pub bytes: Zeroizing<Vec<u8>>,
    /// The place within the source, as a path or an address; may be empty.
    pub place: String,
}

/// Why an existing source gives no seed.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file.
    #[error("{0}")]
    File(#[from] FileError),
    /// A volume.
    #[error("reading {device}: {source}")]
    Volume {
        /// Its device.
        device: String,
        /// The cause.
        source: std::io::Error,
    },
    /// Two volumes of a kind with different contents: one of them may be another's.
    #[error(
        "{first} and {second} have different contents; detach the one that is not this machine's, or name the seed's source \
         (kiln.seed on the command line, or seed.sources in the image's profile)"
    )]
    Several {
        /// The device of one.
        first: String,
        /// The device of the other.
        second: String,
    },
    /// A server.
    #[error("{0}")]
    Net(#[from] NetError),
    /// An address or the document there.
    #[error("{0}")]
    Address(String),
    /// A metadata service.
    #[error("{cloud}'s metadata service answered with status {status}")]
    Cloud {
        /// The cloud.
        cloud: &'static str,
        /// HTTP status.
        status: u16,
        /// The pause that the service requests.
        retry_after: Option<Duration>,
    },
    /// The service does not give a session token; it is not used without a session.
    #[error("{cloud}'s metadata service does not give a session token")]
    NoSession {
        /// The cloud.
        cloud: &'static str,
    },
    /// Another server answers.
    #[error("what answers at 169.254.169.254 is not {cloud}'s metadata service: the header {header} is missing")]
    Impostor {
        /// The expected cloud.
        cloud: &'static str,
        /// The missing header.
        header: &'static str,
    },
}

/// What only the platform knows; it fills the gaps of a seed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Platform {
    /// The machine's name there.
    pub hostname: Option<String>,
    /// Its availability zone.
    pub zone: Option<String>,
    /// `spec.providerID` of its Node.
    pub provider_id: Option<String>,
}

/// Why no seed can be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A source failed; a later source must not win because of that.
    #[error("{source_name}: {error}")]
    Source {
        /// Its name.
        source_name: &'static str,
        /// The cause.
        error: SourceError,
    },
    /// The document is not a seed.
    #[error("the seed from {0}: {1}")]
    Seed(String, SeedError),
}

impl LoadError {
    /// The pause that a server requests.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Source { error: SourceError::Cloud { retry_after, .. }, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether it is a volume that cannot be read. It may belong to somebody else.
    pub fn is_damaged_volume(&self) -> bool {
        matches!(self, Self::Source { error: SourceError::Volume { .. }, .. })
    }
}

/// A seed and its source.
pub struct Loaded {
    /// The seed.
    pub seed: Seed,
    /// The same seed as a document.
    pub document: Value,
    /// The description of its source.
    pub from: String,
    /// Why a volume before it was passed over.
    pub passed_over: Option<LoadError>,
}

/// Asks the sources; `None` if none of them has a seed.
///
/// A source that fails ends this, because a later source must not win by that. Volumes are the
/// exception: whoever may attach a disk could otherwise keep a machine from its seed.
///
/// # Errors
/// [`LoadError`].
pub fn load(places: &Places<'_>) -> Result<Option<Loaded>, LoadError> {
    let mut passed_over = None;
    for source in asked(places.root).map_err(of_image)? {
        match load_from(source, places) {
            Ok(None) => {}
            Ok(Some(loaded)) => return Ok(Some(Loaded { passed_over, ..loaded })),
            Err(error) if source.is_volume() && (error.is_damaged_volume() || matches!(error, LoadError::Seed(..))) => {
                passed_over.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    passed_over.map_or(Ok(None), Err)
}

fn load_from(source: &Source, places: &Places<'_>) -> Result<Option<Loaded>, LoadError> {
    let found = (source.read)(places).map_err(|error| LoadError::Source { source_name: source.name, error })?;
    let Some(found) = found else { return Ok(None) };
    let from = if found.place.is_empty() { source.name.to_owned() } else { format!("{} {}", source.name, found.place) };
    let failed = |error| LoadError::Seed(from.clone(), error);
    let (_, mut document) = parse(&found.bytes).map_err(failed)?;
    lay_over_cluster(places, &mut document)?;
    let seed = Seed::decode(document.clone()).map_err(failed)?;
    Ok(Some(Loaded { seed, document, from, passed_over: None }))
}

/// A file of the image cannot be read.
fn of_image(error: FileError) -> LoadError {
    LoadError::Source { source_name: "image", error: SourceError::File(error) }
}

/// Adds the image's values for the cluster to `document` where it has none, if the image was built
/// for a cluster.
fn lay_over_cluster(places: &Places<'_>, document: &mut Value) -> Result<(), LoadError> {
    let failed = |error| LoadError::Source { source_name: "cluster", error: SourceError::File(error) };
    let Some(text) = places.root.read(CLUSTER).map_err(failed)? else { return Ok(()) };
    let (_, cluster) = parse(text.as_bytes()).map_err(|error| LoadError::Seed(CLUSTER.to_owned(), error))?;
    for shared in ["apiServers", "discovery"] {
        if document[shared].is_null() && !cluster[shared].is_null() {
            document[shared] = cluster[shared].clone();
        }
    }
    Ok(())
}

/// Removes what only joining needs from a seed's document, and wipes it.
pub fn forget_secrets(document: &mut Value) {
    let Some(fields) = document.as_object_mut() else { return };
    for secret in ["token", "discovery"] {
        if let Some(mut value) = fields.remove(secret) {
            yaml::wipe(&mut value);
        }
    }
}

const HOSTNAME: &[&str] = &["hostname"];
const PROVIDER_ID: &[&str] = &["kubelet", "providerID"];
const ZONE: &[&str] = &["kubelet", "labels", "topology.kubernetes.io/zone"];

/// Fills values that `loaded` lacks with those of the platform, which is not asked when nothing is
/// missing. The document's secrets are no longer needed then.
///
/// # Errors
/// [`LoadError`] when the platform has a metadata service, and it fails.
pub fn fill(places: &Places<'_>, loaded: &mut Loaded) -> Result<(), LoadError> {
    let Loaded { seed, document, from, .. } = loaded;
    let is_gap = |path: &&[&str]| path.iter().fold(&*document, |at, key| &at[*key]).is_null();
    let mut filled = None;
    if [HOSTNAME, PROVIDER_ID, ZONE].iter().any(is_gap) {
        fill_gaps(places, document)?;
        filled = Some(Seed::decode(document.clone()));
    }
    forget_secrets(document);
    if let Some(filled) = filled {
        *seed = filled.map_err(|error| LoadError::Seed(from.clone(), error))?;
    }
    Ok(())
}

fn fill_gaps(places: &Places<'_>, document: &mut Value) -> Result<(), LoadError> {
    let failed = |error| LoadError::Source { source_name: "metadata", error };
    let Platform { hostname, zone, provider_id } = cloud::platform(places).map_err(failed)?;
    let mut gap = |path: &[&str], value: Option<String>| {
        let Some(value) = value else { return };
        let at = path.iter().fold(&mut *document, |at, key| &mut at[*key]);
        if at.is_null() {
            *at = Value::String(value);
        }
    };
    // Clouds may add a domain or use capitals; a name that is not valid for a node is left out.
    let hostname = hostname.map(|name| name.to_ascii_lowercase()).filter(|name| crate::names::is_subdomain(name));
    gap(HOSTNAME, hostname);
    gap(PROVIDER_ID, provider_id);
    gap(ZONE, zone.filter(|zone| crate::names::label_value(zone).is_ok()));
    Ok(())
}

fn parse(bytes: &[u8]) -> Result<(Seed, Value), SeedError> {
    let seed = Seed::parse(bytes)?;
    let text = std::str::from_utf8(bytes).map_err(|_| SeedError::NotText)?;
    Ok((seed, yaml::parse(text, MAX_SIZE)?))
}
