//! What cannot be rendered.

use kiln_profile::{AboutProfile, Key, fields};
use kiln_tree::{PathError, TreePath};

/// Why a profile does not make a node.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// A component is configured whose program nothing brought.
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
    /// A component runs a program of a package that is not there.
    #[error(
        "there is no {name} in /usr/bin, /usr/sbin, /usr/local/bin or /usr/local/sbin, which {component} runs: add the package {package} \
         to debian.packages and take it off debian.exclude{hint}"
    )]
    NoHelper {
        /// The component.
        component: &'static str,
        /// The program.
        name: &'static str,
        /// The package that brings it.
        package: &'static str,
        /// What else may be missing, following in the sentence.
        hint: &'static str,
    },
    /// The profile's pod network needs plugins that are not there.
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
    /// A value that its file's format cannot hold.
    #[error("{key}: {value:?} {why}")]
    BadValue {
        /// Whose value it is.
        key: Key,
        /// What it says.
        value: String,
        /// Why that cannot be.
        why: &'static str,
    },
    /// A file of the profile is already there.
    #[error(
        "{}: /{path} is already there, from {origin}; say replace: true if that is meant",
        Key::from(fields::FILES)
    )]
    FileExists {
        /// The path.
        path: TreePath,
        /// Who put it there.
        origin: String,
    },
    /// A path made from the profile is none.
    #[error("a path made from the profile cannot be used: {0}")]
    Path(#[from] PathError),
    /// An embedded program is for another architecture.
    #[error(
        "this kiln holds a {name} for {embedded}, not for {wanted}: build kiln on such a machine, or with \
         {variable}=path/to/{name} for it (it can be locked and planned here)"
    )]
    ForeignProgram {
        /// The program.
        name: &'static str,
        /// The variable that embeds another one.
        variable: &'static str,
        /// What is embedded.
        embedded: String,
        /// What the profile wants.
        wanted: &'static str,
    },
    /// What a list beside `/init` cannot hold: an extended attribute or a kernel module.
    #[error("this image has something that cannot be listed for /init: {0}")]
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

/// The key that spells out the file at `path`.
fn file(path: &TreePath) -> Key {
    fields::FILE.of(format_args!("/{path}"))
}
