//! `kiln build`.

use super::args::{MirrorArgs, OutputArg, ProfileArgs};
use super::host::Host;
use super::lock::{LockPolicy, load_locked};
use super::signals::CleanUp;
use super::units;
use crate::build::{BuildError, Line, Means};
use anyhow::Context as _;
use kiln_bake::lock::{Locked, Mirrors};
use kiln_manifest::{InputRecord, Manifest};
use kiln_source::fetch::Fetcher;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Bake a role's image Needs no privileges, runs no other program, and produces the same bytes on
/// every machine. When the build succeeds, the output directory is replaced as a whole; otherwise
/// it is not changed.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  kiln build worker\n  kiln build worker --output disk,qcow2\n  kiln build worker --release v1.36.4 -o out/worker-1.36\n  kiln build worker --locked --offline --json"
)]
pub(super) struct BuildArgs {
    #[command(flatten)]
    profile: ProfileArgs,
    #[command(flatten)]
    mirrors: MirrorArgs,
    /// Output directory, replaced as a whole [default: out/ROLE]
    #[arg(short, long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    out: Option<PathBuf>,
    /// Kinds of output to make (repeatable, or separated by commas) [default: the profile's
    /// outputs]
    #[arg(long, value_name = "KIND", value_enum, value_delimiter = ',')]
    output: Vec<OutputArg>,
    /// Never write the lock: fail when it is missing or stale
    #[arg(long)]
    locked: bool,
    /// Never use the network
    #[arg(long)]
    offline: bool,
    /// Delete files in the output directory that an earlier build did not write; names them
    #[arg(long)]
    force: bool,
    /// Print the outputs as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(host: &Host, args: &BuildArgs) -> anyhow::Result<()> {
    let start = Instant::now();
    let clean_up = CleanUp::install().context("watching for Ctrl-C")?;
    let cache = host.cache()?;
    let http = host.http(args.offline, &args.mirrors)?;
    let policy = LockPolicy { locked: args.locked, offline: args.offline };
    let outputs: Vec<_> = args.output.iter().map(|output| output.0).collect();
    let locked = load_locked(host, &args.profile, &args.mirrors, &outputs, policy, &cache, &http)?;
    let directory = args.out.clone().unwrap_or_else(|| Path::new("out").join(&locked.profile().role));
    let built = with_build_line(host, &locked, &host.fetcher(&cache, &http), |line| {
        line.build(&directory, args.force, &clean_up)
    })?;
    if !built.changed {
        host.progress.info(format_args!("{}: nothing changed", directory.display()));
    }
    report(&built.manifest, &directory, start, args.json)
}

/// Runs `work` on the build line of `locked` with the facilities of this machine.
pub(super) fn with_build_line<T>(
    host: &Host,
    locked: &Locked,
    fetcher: &Fetcher,
    work: impl FnOnce(&Line<'_>) -> Result<T, BuildError>,
) -> anyhow::Result<T> {
    // A build whose inputs are all in the cache needs no mirror.
    let (mirrors, no_mirror) = match host.mirrors(locked.profile()) {
        Ok(mirrors) => (mirrors, None),
        Err(error) => (Mirrors::default(), Some(error)),
    };
    let means = Means { fetcher, mirrors: &mirrors, threads: host.threads, progress: &host.progress };
    match (Line::new(locked, means).and_then(|line| work(&line)), no_mirror) {
        // The cause is the missing mirror; its message says what to do.
        (Err(BuildError::Fetch(_)), Some(error)) => Err(error),
        (result, _) => Ok(result?),
    }
}

fn report(manifest: &Manifest, directory: &Path, start: Instant, json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let seconds = start.elapsed().as_secs_f64();
    if json {
        let report = serde_json::json!({
            "output": directory,
            "role": manifest.role,
            "image": manifest.image,
            "release": manifest.release,
            "kernel": manifest.kernel,
            "inputs": manifest.inputs.len(),
            "files": manifest.files.len(),
            "pruned": manifest.pruned,
            "outputs": manifest.outputs,
            "disk": manifest.disk,
            "seconds": seconds,
        });
        writeln!(out, "{report:#}")?;
        return Ok(());
    }
    for file in &manifest.outputs {
        writeln!(out, "{:>10}  {}", units::bytes(file.size), directory.join(&file.path).display())?;
    }
    let count = |kind: &str| manifest.inputs.iter().filter(|input: &&InputRecord| input.kind == kind).count();
    let tree: u64 = manifest.files.iter().filter_map(|file| file.size).sum();
    let pruned: u64 = manifest.pruned.values().map(|pruned| pruned.bytes).sum();
    writeln!(
        out,
        "{} {}: {} packages and {} artifacts, {} in {} files ({} pruned), in {seconds:.2} s",
        manifest.image.id,
        manifest.image.version,
        count("package"),
        count("artifact"),
        units::bytes(tree),
        manifest.files.len(),
        units::bytes(pruned),
    )?;
    Ok(())
}
