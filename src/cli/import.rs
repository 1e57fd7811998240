//! `kiln import`.

use super::host::Host;
use anyhow::Context as _;
use kiln_agent::seed::Seed;
use kiln_profile::Overrides;
use kiln_profile::import::{Source, Wanted, import};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Maximum size of an imported file, in bytes.
const MAX_SIZE: u64 = 1 << 20;

/// Make a profile from a node's files: kubelet's flags and configuration, kubeadm's documents FILEs
/// belong to one node: units, environment files, a command line, KubeletConfiguration,
/// KubeProxyConfiguration, kubeadm's configuration, a kubeconfig. Their order does not matter,
/// except that kubelet.service must precede its drop-ins. Standard error reports what became of
/// each setting.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  kiln import --release v1.36.4 kubeadm-flags.env config.yaml -o profiles/mine.yaml\n  \
                        kiln import --role control-plane kubeadm.yaml --cluster-out clusters/prod.yaml\n  \
                        kiln import --release v1.36.4 kubelet.service kubelet-config.json --seed-out node-1.yaml --json\n  \
                        kiln import --release debian-1.20.2 --kube-proxy kube-proxy.yaml -o profiles/proxied.yaml"
)]
pub(super) struct ImportArgs {
    /// The node's files; - is standard input
    #[arg(required = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    files: Vec<PathBuf>,
    /// Role that the profile extends
    #[arg(long, value_name = "NAME", default_value = "base")]
    role: String,
    /// Kubernetes release of the new node: profiles/releases/NAME.yaml [default: the role's]
    #[arg(long, value_name = "NAME")]
    release: Option<String>,
    /// File for the profile; - is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-", value_hint = clap::ValueHint::FilePath)]
    out: PathBuf,
    /// Write the cluster's settings to a file for clusters/ instead of to the profile
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    cluster_out: Option<PathBuf>,
    /// Write the settings of this node only, as a seed without a token
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    seed_out: Option<PathBuf>,
    /// Bake kube-proxy as a service of the node, instead of relying on the cluster's DaemonSet
    #[arg(long)]
    kube_proxy: bool,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(host: &Host, args: &ImportArgs) -> anyhow::Result<()> {
    let overrides = Overrides { release: args.release.clone(), ..Overrides::default() };
    let parent = host.profile(&args.role, &overrides).with_context(|| {
        let release = if args.release.is_none() { "; --release NAME chooses a release" } else { "" };
        format!("the profile to extend{release}")
    })?;
    let sources = args.files.iter().map(|path| read(path)).collect::<anyhow::Result<Vec<_>>>()?;
    // A name is looked up among the profiles; a relative path would be relative to the new profile.
    let extends = match args.role.contains('/') || args.role.ends_with(".yaml") {
        true => std::fs::canonicalize(&parent.path)?.display().to_string(),
        false => args.role.clone(),
    };
    let wanted = Wanted { cluster_file: args.cluster_out.is_some(), kube_proxy: args.kube_proxy };
    let made = import(&sources, &parent, &extends, wanted)?;
    // Checked before anything is written: kiln must be able to load the new profile.
    let directory = tempfile::tempdir().context("making a temporary directory")?;
    let draft = directory.path().join("imported.yaml");
    std::fs::write(&draft, &made.profile).with_context(|| format!("writing {}", draft.display()))?;
    // Its parent was just loaded, and may be outside of the draft's project.
    let overrides = Overrides { files_outside: true, ..Overrides::default() };
    host.profile(&draft.display().to_string(), &overrides)
        .with_context(|| format!("the profile made from {}, which kiln itself rejects", sources[0].name))?;
    if let Some(path) = &args.seed_out {
        Seed::parse(made.seed.as_bytes()).context("the seed made from these files")?;
        write(path, &made.seed)?;
    }
    if let Some(path) = &args.cluster_out {
        write(path, &made.cluster)?;
    }
    write(&args.out, &made.profile)?;
    let mut report = std::io::stderr().lock();
    if args.json {
        writeln!(report, "{:#}", serde_json::json!(made.report))?;
    } else {
        write!(report, "{}", made.report)?;
    }
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Source> {
    let name = path.display().to_string();
    let mut bytes = Vec::new();
    let read = match name.as_str() {
        "-" => std::io::stdin().lock().take(MAX_SIZE + 1).read_to_end(&mut bytes),
        _ => File::open(path).and_then(|file| file.take(MAX_SIZE + 1).read_to_end(&mut bytes)),
    };
    read.with_context(|| format!("reading {name}"))?;
    Ok(Source { name, bytes })
}

/// Writes `text` atomically; `-` is standard output.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    if path == Path::new("-") {
        return Ok(std::io::stdout().lock().write_all(text.as_bytes())?);
    }
    super::file::write(path, 0o644, |file| file.write_all(text.as_bytes()))
}
