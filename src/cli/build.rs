//! `kiln build`.

use super::args::{MirrorArgs, OutputArg, ProfileArgs};
use super::host::Host;
use super::lock::{LockPolicy, locked};
use super::outputs::{Made, Outputs};
use super::signals::CleanUp;
use super::told_once;
use super::units;
use crate::output::{Output, OutputError, Unchanged};
use anyhow::{Context as _, bail};
use kiln_artifact::kernel::kernel;
use kiln_bake::lock::{Locked, wants};
use kiln_bake::{Baked, bake};
use kiln_cache::Cache;
use kiln_manifest::{InputRecord, Manifest};
use kiln_pack::layer::Overlay;
use kiln_source::fetch::{FetchError, Fetcher};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Damage hides damage: an input is only read once what was derived from it is gone.
const HEALING_ATTEMPTS: usize = 4;

/// Bake a role's image
///
/// Needs no privilege, starts no other program, and gives the same bytes wherever it runs. The output directory is replaced as a whole when
/// everything succeeded, and left as it was otherwise.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  kiln build worker\n  kiln build worker --output disk,qcow2\n  kiln build worker --release v1.36.4 -o out/worker-1.36\n  kiln build worker --locked --offline --json"
)]
pub struct Args {
    #[command(flatten)]
    profile: ProfileArgs,
    #[command(flatten)]
    mirrors: MirrorArgs,
    /// Directory the image is written to, as a whole [default: out/ROLE]
    #[arg(short, long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    out: Option<PathBuf>,
    /// What to make (repeatable, or a comma list) [default: the profile's outputs]
    #[arg(long, value_name = "KIND", value_enum, value_delimiter = ',')]
    output: Vec<OutputArg>,
    /// Refuse to write the lock: fail when it is missing or stale
    #[arg(long)]
    locked: bool,
    /// Never use the network
    #[arg(long)]
    offline: bool,
    /// Print the outputs as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(host: &Host, args: &Args) -> anyhow::Result<()> {
    let start = Instant::now();
    let clean_up = CleanUp::install().context("watching for Ctrl-C")?;
    let cache = host.cache()?;
    let http = host.http(args.offline, &args.mirrors)?;
    let policy = LockPolicy { locked: args.locked, offline: args.offline };
    let outputs: Vec<_> = args.output.iter().map(|output| output.0).collect();
    let locked = locked(host, &args.profile, &args.mirrors, &outputs, policy, &cache, &http)?;
    kiln_render::check_programs(locked.profile().arch)?;
    let directory = args.out.clone().unwrap_or_else(|| Path::new("out").join(&locked.profile().role));
    let overlays = locked.profile().overlays.iter().map(|path| Overlay::read(path)).collect::<Result<Vec<_>, _>>()?;
    for overlay in &overlays {
        if let Some(reason) = &overlay.not_for_production {
            host.progress.warn(format_args!("overlay {} is not for production: {reason}", overlay.name));
        }
    }

    let unchanged = Unchanged::new(&locked, &overlays, &directory);
    if let Some(manifest) = unchanged.find(&cache) {
        host.progress.info(format_args!("{}: nothing changed", directory.display()));
        return report(&manifest, &directory, start, args.json);
    }
    let output = Output::create(&directory)?;
    clean_up.add(output.unfinished());
    let fetcher = host.fetcher(&cache, &http);
    let manifest = healing(host, &cache, || {
        let files = fetch(&fetcher, host, &locked)?;
        let baked = bake(&locked, &files, overlays.clone(), &cache, host.threads, &host.progress)?;
        write(host, &locked, &baked, &cache, output.temporary())
    })?;
    output.commit()?;
    unchanged.remember(&cache, &manifest);
    report(&manifest, &directory, start, args.json)
}

/// Tries again what failed because of damaged files in the cache: each is removed when it is found, so the next try fetches
/// or makes it anew.
pub(super) fn healing<T>(host: &Host, cache: &Cache, attempt: impl Fn() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let mut known = cache.damage_found();
    for _ in 0..HEALING_ATTEMPTS {
        let result = attempt();
        let found = cache.damage_found();
        match result {
            Err(error) if found > known && !cache.is_read_only() => {
                host.progress
                    .warn(format_args!("a file in the cache was damaged and is replaced ({})", told_once(&error)));
                known = found;
            }
            result => return result,
        }
    }
    attempt()
}

pub(super) fn fetch(fetcher: &Fetcher, host: &Host, locked: &Locked) -> anyhow::Result<Vec<PathBuf>> {
    // Where to fetch from matters only when something is missing: a warm, offline build needs no mirror.
    let mirrors = host.mirrors(locked.profile()).unwrap_or_default();
    let wants = wants(locked, &mirrors);
    match fetcher.fetch_all(&wants) {
        Ok(files) => Ok(files),
        Err(FetchError::Gone { inputs }) => {
            // Artifacts come after the packages, and are where the profile says, whatever the lock.
            let packages = wants.iter().take(locked.lock().packages.len()).map(|want| &want.name);
            let packages: BTreeSet<_> = packages.collect();
            let advice = if inputs.iter().any(|input| packages.contains(&input.name)) {
                format!("pin what the mirror has now with \"kiln lock {}\"", locked.profile().role)
            } else {
                "correct the url in the profile or release".to_owned()
            };
            bail!("{}; {advice}", FetchError::Gone { inputs })
        }
        Err(error) => {
            // The missing mirror is the cause then, and says what to do.
            host.mirrors(locked.profile())?;
            Err(error.into())
        }
    }
}

fn write(host: &Host, locked: &Locked, baked: &Baked, cache: &Cache, directory: &Path) -> anyhow::Result<Manifest> {
    let manifest = manifest_of(locked, baked, Outputs { host, locked, baked, cache, directory }.make()?)?;
    let text = manifest.to_text();
    for (name, text) in [(kiln_manifest::SUMS, manifest.sums(&text)), (kiln_manifest::FILE, text)] {
        let path = directory.join(name);
        std::fs::write(&path, text).map_err(|source| OutputError::Write { path, source })?;
    }
    Ok(manifest)
}

/// What the manifest of an image of `baked` says, of which `made` was made.
pub(super) fn manifest_of(locked: &Locked, baked: &Baked, made: Made) -> anyhow::Result<Manifest> {
    let (profile, lock) = (locked.profile(), locked.lock());
    let Made { files, root_hash, disk } = made;
    Ok(Manifest {
        version: kiln_manifest::VERSION,
        kiln: env!("CARGO_PKG_VERSION").to_owned(),
        role: profile.role.clone(),
        image: profile.image.clone(),
        arch: profile.arch,
        suite: profile.debian.suite.clone(),
        release: profile.release.name.clone(),
        kernel: kernel(&baked.tree)?.0.to_owned(),
        cmdline: profile.kernel.cmdline.join(" "),
        epoch: lock.epoch,
        inputs: baked.inputs.clone(),
        pruned: baked.pruned.clone(),
        privileged: profile.privileged.clone(),
        not_for_production: baked.not_for_production.clone(),
        files: kiln_manifest::records(&baked.tree, lock.epoch),
        outputs: files,
        root_hash,
        disk,
    })
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
