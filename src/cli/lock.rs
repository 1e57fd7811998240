//! `kiln lock`, and how every verb obtains a locked profile.

use super::args::{MirrorArgs, ProfileArgs};
use super::host::Host;
use anyhow::bail;
use jiff::Timestamp;
use kiln_bake::lock::{self, ChangedFile, Lock, Locked, Mirrors, Sources};
use kiln_cache::Cache;
use kiln_profile::{Output, Profile};
use kiln_source::http::Client;
use kiln_tree::Printable;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Pin every input of a role in its lock file
///
/// Fetches and verifies the archive's current index, resolves the role's packages, and writes
/// profiles/ROLE.lock; commit that file. With --release, --suite or --arch, writes a separate lock,
/// profiles/ROLE@VALUE.lock.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  kiln lock worker\n  kiln lock worker --snapshot 20261101T000000Z --mirror 'https://mirror.example/debian/{snapshot}'"
)]
pub(super) struct LockArgs {
    #[command(flatten)]
    profile: ProfileArgs,
    #[command(flatten)]
    mirrors: MirrorArgs,
    /// Allow an index of a suite that is older than the one in the present lock
    #[arg(long)]
    allow_older: bool,
    /// Print the lock as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(host: &Host, args: &LockArgs) -> anyhow::Result<()> {
    let profile = host.profile(&args.profile.role, &args.profile.overrides(Some(&args.mirrors), &[]))?;
    let path = lock_path(&profile, &args.profile);
    let old = Lock::read(&path).unwrap_or_else(|error| {
        host.progress.warn(format_args!("{error}: it is written anew without a comparison"));
        None
    });
    let new = pin(host, &profile, &args.mirrors, &host.cache()?, &host.http(false, &args.mirrors)?)?;
    if let (Some(older), false) = (old.as_ref().and_then(|old| new.older_than(old)), args.allow_older) {
        bail!("{}: {older}", path.display());
    }
    new.write(&path)?;
    let mut out = std::io::stdout().lock();
    if args.json {
        write!(out, "{}", new.to_text())?;
        return Ok(());
    }
    for change in changes(old.as_ref(), &new) {
        writeln!(out, "{}", Printable::new(&change))?;
    }
    writeln!(out, "{}: {} packages, {} artifacts", path.display(), new.packages.len(), new.artifacts.len())?;
    Ok(())
}

/// What is allowed in order to obtain a locked profile.
#[derive(Debug, Clone, Copy)]
pub(super) struct LockPolicy {
    /// `--locked`: never write a lock.
    pub locked: bool,
    /// `--offline`: never use the network.
    pub offline: bool,
}

/// Loads the profile and its lock; pins and writes the lock first when it is missing or stale, if
/// `policy` allows that.
///
/// # Errors
/// When the profile, the lock or the archive is invalid, or `policy` forbids pinning.
pub(super) fn load_locked(
    host: &Host,
    args: &ProfileArgs,
    mirrors: &MirrorArgs,
    outputs: &[Output],
    policy: LockPolicy,
    cache: &Cache,
    http: &Client,
) -> anyhow::Result<Locked> {
    let profile = host.profile(&args.role, &args.overrides(Some(mirrors), outputs))?;
    let path = lock_path(&profile, args);
    let old = Lock::read(&path)?;
    let why = match &old {
        Some(lock) => match lock.stale(&profile) {
            None => return apply(host, lock.clone(), profile, &path, policy),
            Some(why) => format!("{} is stale: {why}", path.display()),
        },
        None => format!("{} does not exist", path.display()),
    };
    if policy.locked || policy.offline {
        let option = if policy.locked { "--locked" } else { "--offline" };
        bail!("{why}, and {option} forbids making it; run \"kiln lock {}\" first", args.role);
    }
    host.progress.info(format_args!("{why}; pinning"));
    let lock = pin(host, &profile, mirrors, cache, http)?;
    if let Some(older) = old.and_then(|old| lock.older_than(&old)) {
        bail!("{}: {older}", path.display());
    }
    lock.write(&path)?;
    Ok(lock.apply(profile, &path)?)
}

/// Applies a lock that pins what `profile` asks for. Local files without a digest in the profile are
/// pinned again when they have changed, which needs no mirror.
fn apply(host: &Host, mut lock: Lock, profile: Profile, path: &Path, policy: LockPolicy) -> anyhow::Result<Locked> {
    let changed = lock::repin_files(&mut lock, &profile)?;
    if let Some(first) = changed.first() {
        if policy.locked {
            bail!(
                "{} is stale: {first}, and --locked forbids pinning it again; run \"kiln lock {}\" first",
                path.display(),
                profile.role
            );
        }
        for ChangedFile { what, path: file } in &changed {
            host.progress.info(format_args!("{what}: {} has changed; pinning it again", file.display()));
        }
        lock.write(path)?;
    }
    Ok(lock.apply(profile, path)?)
}

fn pin(host: &Host, profile: &Profile, args: &MirrorArgs, cache: &Cache, http: &Client) -> anyhow::Result<Lock> {
    let mirrors: Mirrors = host.mirrors(profile)?;
    let keyring = host.keyring(profile, args)?;
    let sources = Sources {
        fetcher: &host.fetcher(cache, http),
        http,
        mirrors: &mirrors,
        keyring: &keyring,
        now: Timestamp::from_second(Timestamp::try_from(host.now)?.as_second())?,
        check_valid_until: !args.ignore_valid_until,
    };
    Ok(lock::pin(profile, &sources, &host.progress)?)
}

/// Why `lock` does not pin what `profile` asks for now, if it does not.
///
/// # Errors
/// When a local file cannot be read.
pub(super) fn stale(lock: &Lock, profile: &Profile) -> anyhow::Result<Option<String>> {
    match lock.stale(profile) {
        Some(why) => Ok(Some(why)),
        None => Ok(lock::repin_files(&mut lock.clone(), profile)?.first().map(ToString::to_string)),
    }
}

/// The path of the lock: `profiles/worker.lock`; with overrides that change the inputs,
/// `profiles/worker@v1.36.4@bookworm.lock`.
pub(super) fn lock_path(profile: &Profile, args: &ProfileArgs) -> PathBuf {
    let mut name = profile.role.clone();
    let arch = args.changes.arch.map(|_| profile.arch.as_str().to_owned());
    for part in [args.changes.release.as_deref(), args.changes.suite.as_deref(), arch.as_deref()].into_iter().flatten()
    {
        let part = part.rsplit('/').next().unwrap_or(part).trim_end_matches(".yaml");
        name = format!("{name}@{part}");
    }
    profile.path.with_file_name(format!("{name}.lock"))
}

/// The differences between the locks, one per line.
fn changes(old: Option<&Lock>, new: &Lock) -> Vec<String> {
    let Some(old) = old else { return Vec::new() };
    let versions = |lock: &Lock| -> BTreeMap<String, String> {
        let packages = lock.packages.iter().map(|package| (package.name.clone(), package.version.clone()));
        packages
            .chain(lock.artifacts.iter().map(|artifact| (artifact.name.clone(), artifact.version.clone())))
            .collect()
    };
    let (old, new) = (versions(old), versions(new));
    let mut lines = Vec::new();
    for (name, version) in &new {
        match old.get(name) {
            None => lines.push(format!("+ {name} {version}")),
            Some(before) if before != version => lines.push(format!("~ {name} {before} -> {version}")),
            Some(_) => {}
        }
    }
    lines.extend(
        old.iter().filter(|(name, _)| !new.contains_key(*name)).map(|(name, version)| format!("- {name} {version}")),
    );
    lines
}
