//! Arguments of several verbs.

use clap::builder::PossibleValue;
use kiln_profile::{Arch, Output, Overrides};
use std::path::PathBuf;
use std::sync::LazyLock;

/// A profile, and its changes for this run.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ProfileArgs {
    /// Role to bake: profiles/ROLE.yaml, or a path to a profile
    pub role: String,
    /// The changes to the profile.
    #[command(flatten)]
    pub changes: ChangeArgs,
}

/// Changes to a profile for this run.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ChangeArgs {
    /// Kubernetes release: profiles/releases/NAME.yaml
    #[arg(long, value_name = "NAME")]
    pub release: Option<String>,
    /// Cluster that the nodes join: clusters/NAME.yaml beside the profiles, or a path
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// Debian suite, e.g. trixie
    #[arg(long)]
    pub suite: Option<String>,
    /// Architecture of the image
    #[arg(long, value_enum)]
    pub arch: Option<ArchArg>,
    /// Overlay to apply after those of the profile: a name below overlays/, or a path, which
    /// contains a "/" (repeatable)
    #[arg(long, value_name = "OVERLAY", value_hint = clap::ValueHint::DirPath)]
    pub overlay: Vec<PathBuf>,
    /// IMAGE_VERSION of the image
    #[arg(long, value_name = "VERSION")]
    pub image_version: Option<String>,
    /// Let profiles name files outside of their project, which is the directory that holds the
    /// directory of profiles; only for profiles that you trust
    #[arg(long)]
    pub allow_files_outside: bool,
}

/// The sources of Debian's packages.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct MirrorArgs {
    /// Debian mirror (repeatable, tried in this order); its password comes from ~/.netrc or apt's
    /// auth.conf [default: the profile's, else those of this host's apt sources]
    #[arg(long, value_name = "URL")]
    pub mirror: Vec<String>,
    /// Mirror of Debian's security archive (repeatable)
    #[arg(long, value_name = "URL")]
    pub security_mirror: Vec<String>,
    /// Snapshot that replaces {snapshot} in mirror URLs, e.g. 20261101T000000Z
    #[arg(long, value_name = "TIMESTAMP")]
    pub snapshot: Option<String>,
    /// OpenPGP keyring of the archive's signing keys [default: the profile's, else this host's
    /// debian-archive-keyring]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub keyring: Option<PathBuf>,
    /// Accept an archive index past its Valid-Until date (for snapshots it always is)
    #[arg(long)]
    pub ignore_valid_until: bool,
    /// Seconds without data after which a request is repeated, and then sent to the next mirror
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub stall_timeout: u64,
}

/// Architectures as Debian names them.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum ArchArg {
    /// x86-64
    Amd64,
    /// AArch64
    Arm64,
}

/// A kind of output, with the same name as in profiles.
#[derive(Debug, Clone, Copy)]
pub(super) struct OutputArg(pub Output);

impl clap::ValueEnum for OutputArg {
    fn value_variants<'a>() -> &'a [Self] {
        static ALL: LazyLock<Vec<OutputArg>> = LazyLock::new(|| Output::ALL.iter().copied().map(OutputArg).collect());
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.as_str()).help(self.0.description()))
    }
}

impl From<ArchArg> for Arch {
    fn from(arch: ArchArg) -> Self {
        match arch {
            ArchArg::Amd64 => Self::Amd64,
            ArchArg::Arm64 => Self::Arm64,
        }
    }
}

impl ProfileArgs {
    /// The profile overrides given on the command line.
    pub(super) fn overrides(&self, mirrors: Option<&MirrorArgs>, outputs: &[Output]) -> Overrides {
        Overrides {
            release: self.changes.release.clone(),
            cluster: self.changes.cluster.clone(),
            arch: self.changes.arch.map(Arch::from),
            suite: self.changes.suite.clone(),
            mirrors: mirrors.map(|args| args.mirror.clone()).unwrap_or_default(),
            security_mirrors: mirrors.map(|args| args.security_mirror.clone()).unwrap_or_default(),
            snapshot: mirrors.and_then(|args| args.snapshot.clone()),
            image_version: self.changes.image_version.clone(),
            outputs: outputs.iter().copied().collect(),
            overlays: self.changes.overlay.clone(),
            files_outside: self.changes.allow_files_outside,
        }
    }
}
