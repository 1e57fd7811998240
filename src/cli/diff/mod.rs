//! `kiln diff`.

mod print;
mod sides;

use super::args::{ChangeArgs, MirrorArgs};
use super::{Global, fail, is_closed_pipe};
use kiln_verify::diff;
use std::process::ExitCode;

/// Exit codes of diff(1).
const DIFFERENT: u8 = 1;
const TROUBLE: u8 = 2;

/// Show what a roll-out would change OLD and NEW are each an output directory, an image, or a role,
/// whose profile is then baked but not written. Shows the changes of packages, kernel, command
/// line, units, sysctls, KubeletConfiguration, files and sizes; file times are ignored. Exits like
/// diff(1): 0 if nothing changes, 1 if something changes, 2 on errors.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  kiln diff out/worker-1 out/worker-2\n  kiln diff out/worker worker --release v1.36.4\n  kiln diff out/a/pxe/initramfs.cpio.zst out/b/pxe/initramfs.cpio.zst --json"
)]
pub(super) struct DiffArgs {
    /// The current image
    #[arg(value_hint = clap::ValueHint::AnyPath)]
    old: String,
    /// The new image
    #[arg(value_hint = clap::ValueHint::AnyPath)]
    new: String,
    /// Also list each file of packages that change
    #[arg(long)]
    files: bool,
    /// Print the changes as JSON
    #[arg(long)]
    json: bool,
    /// Never write a role's lock: fail when it is missing or stale
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

pub(super) fn run(global: &Global, args: &DiffArgs) -> ExitCode {
    match compare(global, args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(DIFFERENT),
        // Output was cut off, so there are differences.
        Err(error) if is_closed_pipe(&error) => ExitCode::from(DIFFERENT),
        Err(error) => {
            fail(&error);
            ExitCode::from(TROUBLE)
        }
    }
}

/// Prints the changes; returns whether there are none.
fn compare(global: &Global, args: &DiffArgs) -> anyhow::Result<bool> {
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
