//! Rendering errors.

use kiln_profile::{AboutProfile, Key, fields};
use kiln_tree::{PathError, TreePath};

/// Why a profile cannot be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// Neither a package nor an artifact brings the program of a configured component.
    #[error(
        "there is no {name} in /usr/bin, /usr/sbin, /usr/local/bin or /usr/local/sbin: neither a package nor an artifact brings \
         {component}; add it to the release's components or packages"
    )]
    NoProgram {
        /// The component.
        component: String,
        /// The program.
        name: String,
    },
    /// A component runs a program whose package is missing.
    #[error(
        "there is no {name} in /usr/bin, /usr/sbin, /usr/local/bin or /usr/local/sbin, which {component} runs: add the package {package} \
         to debian.packages and remove it from debian.exclude{hint}"
    )]
    NoHelper {
        /// The component.
        component: &'static str,
        /// The program.
        name: &'static str,
        /// The package that brings it.
        package: &'static str,
        /// Another possible cause, appended to the sentence.
        hint: &'static str,
    },
    /// Plugins for the profile's pod network are missing.
    #[error(
        "{}: the plugin {name} is neither in /opt/cni/bin nor in /usr/lib/cni; add containernetworking-plugins or the \
         component cni-plugins to the release, or set {} to none",
        Key::from(fields::CNI),
        Key::from(fields::CNI_PLUGIN)
    )]
    NoPlugin {
        /// The plugin.
        name: &'static str,
    },
    /// The file's format cannot hold a value.
    #[error("{key}: {value:?} {why}")]
    BadValue {
        /// The key of the value.
        key: Key,
        /// The value.
        value: String,
        /// Why it is invalid.
        why: &'static str,
    },
    /// A file of the profile already exists in the tree.
    #[error(
        "{}: /{path} already exists, from {origin}; set replace: true on the file to replace it",
        Key::from(fields::FILES)
    )]
    FileExists {
        /// The path.
        path: TreePath,
        /// Where the existing file is from.
        origin: String,
    },
    /// A path made from the profile is invalid.
    #[error("a path made from the profile is invalid: {0}")]
    Path(#[from] PathError),
    /// An embedded program is for another architecture.
    #[error(
        "this kiln contains {name} for {embedded}, not for {wanted}: build kiln on an {wanted} machine, or with \
         {variable}=path/to/{name} for {wanted} (locking and planning work without it)"
    )]
    ForeignProgram {
        /// The program.
        name: &'static str,
        /// The environment variable that selects another program.
        variable: &'static str,
        /// The architecture of the embedded program.
        embedded: String,
        /// The architecture of the profile.
        wanted: &'static str,
    },
    /// An extended attribute or a kernel module cannot be written to the lists beside `/init`.
    #[error("a list for /init cannot be written: {0}")]
    List(#[from] kiln_init::list::ListError),
}

impl AboutProfile for RenderError {
    fn key(&self) -> Option<Key> {
        match self {
            Self::NoProgram { component, .. } => Some(fields::COMPONENT.of(component).at_name()),
            Self::NoHelper { component, .. } => Some(fields::COMPONENT.of(component).at_name()),
            Self::NoPlugin { .. } => Some(fields::CNI_PLUGIN.into()),
            Self::BadValue { key, .. } => Some(key.clone()),
            Self::FileExists { path, .. } => Some(file(path).at_name()),
            Self::Path(_) | Self::ForeignProgram { .. } | Self::List(_) => None,
        }
    }
}

/// Returns the key of the profile's file at `path`.
fn file(path: &TreePath) -> Key {
    fields::FILE.of(format_args!("/{path}"))
}
