//! `kiln diff`.

mod print;
mod sides;

use super::args::{ChangeArgs, MirrorArgs};
use super::{Global, fail, is_closed_pipe};
use kiln_verify::diff;
use std::process::ExitCode;

/// What diff(1) says to other programs.
const DIFFERENT: u8 = 1;
const TROUBLE: u8 = 2;

/// Show what a roll-out would change
///
/// OLD and NEW are each an output directory, an image, or a role: then its profile is baked, but nothing written. Says what changes of packages, kernel,
/// command line, units, sysctls, KubeletConfiguration, files and sizes; times of files do not count.
///
/// Exits like diff(1): 0 nothing changes, 1 something does, 2 it cannot be told.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  kiln diff out/worker-1 out/worker-2\n  kiln diff out/worker worker --release v1.36.4\n  kiln diff out/a/pxe/initramfs.cpio.zst out/b/pxe/initramfs.cpio.zst --json"
)]
pub(super) struct Args {
    /// What is rolled out now
    #[arg(value_hint = clap::ValueHint::AnyPath)]
    old: String,
    /// What would be
    #[arg(value_hint = clap::ValueHint::AnyPath)]
    new: String,
    /// List each file of packages that change, too
    #[arg(long)]
    files: bool,
    /// Print the changes as JSON
    #[arg(long)]
    json: bool,
    /// Refuse to write a role's lock: fail when it is missing or stale
    #[arg(long)]
    locked: bool,
    /// Never use the network
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    changes: ChangeArgs,
    #[command(flatten)]
    mirrors: MirrorArgs,
}

pub(super) fn run(global: &Global, args: &Args) -> ExitCode {
    match compare(global, args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(DIFFERENT),
        // Who reads the first lines only knows that there are some.
        Err(error) if is_closed_pipe(&error) => ExitCode::from(DIFFERENT),
        Err(error) => {
            fail(&error);
            ExitCode::from(TROUBLE)
        }
    }
}

/// Whether nothing changes.
fn compare(global: &Global, args: &Args) -> anyhow::Result<bool> {
    let old = sides::open(global, args, &args.old)?;
    let new = sides::open(global, args, &args.new)?;
    let changes = diff::diff(&old, &new)?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    if args.json {
        print::json(&mut out, &old, &new, &changes)?;
    } else {
        print::text(&mut out, &changes, args.files)?;
    }
    Ok(changes.is_empty())
}
