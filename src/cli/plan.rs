//! `kiln plan`.

use super::args::{MirrorArgs, ProfileArgs};
use super::host::Host;
use super::lock::{lock_path, stale};
use super::units;
use kiln_bake::lock::{Lock, wanted_packages};
use kiln_tree::Printable;
use std::io::Write;

/// Show what would be baked: the resolved profile and its inputs
/// Does not use the network: the inputs come from the lock, if there is one.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  kiln plan worker\n  kiln plan worker --release v1.36.4 --json | jq .profile.kubelet"
)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    profile: ProfileArgs,
    #[command(flatten)]
    mirrors: MirrorArgs,
    /// Print profile and lock as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(host: &Host, args: &PlanArgs) -> anyhow::Result<()> {
    let profile = host.profile(&args.profile.role, &args.profile.overrides(Some(&args.mirrors), &[]))?;
    let path = lock_path(&profile, &args.profile);
    let lock = Lock::read(&path)?;
    let stale = lock.as_ref().map(|lock| stale(lock, &profile)).transpose()?.flatten();
    let mut out = std::io::stdout().lock();
    if args.json {
        let plan = serde_json::json!({"profile": profile, "lock": lock, "lockPath": path, "stale": stale});
        writeln!(out, "{plan:#}")?;
        return Ok(());
    }
    // Reasons, names and versions are whatever profile and lock say.
    let mut line = |text: String| writeln!(out, "{}", Printable::sentence(&text));
    line(format!("role        {} ({})", profile.role, profile.path.display()))?;
    line(format!("image       {} {}", profile.image.id, profile.image.version))?;
    line(format!("debian      {} {}, kernel {}", profile.debian.suite, profile.arch.as_str(), profile.kernel.package))?;
    line(format!("kubernetes  {}", profile.release.name))?;
    for artifact in kiln_bake::lock::artifacts(&profile) {
        line(format!("  {:<14} {}", artifact.name, artifact.version))?;
    }
    if let Some(cluster) = &profile.cluster {
        line(format!(
            "cluster     {} (Kubernetes {}, {})",
            cluster.name,
            cluster.kubernetes,
            cluster.api_servers.join(" ")
        ))?;
    }
    let wanted: Vec<String> = wanted_packages(&profile).into_iter().collect();
    line(format!("packages    {}", wanted.join(" ")))?;
    line(format!("cmdline     {}", profile.kernel.cmdline.join(" ")))?;
    let overlays: Vec<String> = profile.overlays.iter().map(|path| path.display().to_string()).collect();
    line(format!("overlays    {}", if overlays.is_empty() { "none".to_owned() } else { overlays.join(" ") }))?;
    for (name, rule) in &profile.prune {
        line(format!("prune       {name}: {}", rule.reason))?;
    }
    match (&lock, &stale) {
        (None, _) => line(format!("lock        {} does not exist; the first build writes it", path.display()))?,
        (Some(_), Some(why)) => line(format!("lock        {} is stale: {why}", path.display()))?,
        (Some(lock), None) => {
            let total = lock.packages.iter().map(|package| package.size).sum();
            line(format!("lock        {}: {} packages, {}", path.display(), lock.packages.len(), units::bytes(total)))?;
            for package in &lock.packages {
                line(format!("  {:<34} {:<34} {:>10}", package.name, package.version, units::bytes(package.size)))?;
            }
        }
    }
    Ok(())
}
