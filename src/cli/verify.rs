//! `kiln verify`.

use super::is_closed_pipe;
use kiln_verify::{Allowed, Report, verify};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Check that an output matches its manifest and is fit for production Reads every artifact with
/// code that did not write it, and checks digests and every file's contents, mode, owner, time and
/// attributes. Searches for keys, tokens and passwords, for world-writable files, and for programs
/// with more privileges than expected. Exits with 1 when a check fails.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  kiln verify out/worker\n  kiln verify out/worker --json\n  kiln verify out/worker --allow /usr/bin/sudo --allow-secret /etc/example.conf\n  kiln verify out/worker-debug --allow-debug"
)]
pub(super) struct VerifyArgs {
    /// Output directory of a build
    #[arg(value_hint = clap::ValueHint::DirPath)]
    output: PathBuf,
    /// Accept this path although it is set-user-ID, set-group-ID or has capabilities (repeatable)
    #[arg(long, value_name = "PATH")]
    allow: Vec<String>,
    /// Accept this path although it contains what looks like a key, token or password (repeatable)
    #[arg(long, value_name = "PATH")]
    allow_secret: Vec<String>,
    /// Accept overlays that are not for production, such as overlays/debug
    #[arg(long)]
    allow_debug: bool,
    /// Print the checks as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let paths = |paths: &[String]| paths.iter().map(|path| path.trim_start_matches('/').to_owned()).collect();
    let allowed =
        Allowed { privileged: paths(&args.allow), secrets: paths(&args.allow_secret), debug: args.allow_debug };
    let report = verify(&args.output, &allowed);
    match print(args, &report) {
        // When only the first lines are read, the exit code still gives the result.
        Err(error) if !is_closed_pipe(&error) => Err(error),
        _ => Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
    }
}

fn print(args: &VerifyArgs, report: &Report) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if args.json {
        let report = serde_json::json!({"output": args.output, "passed": report.passed(), "checks": report.checks});
        writeln!(out, "{report:#}")?;
    } else {
        for check in &report.checks {
            writeln!(out, "{check}")?;
        }
    }
    Ok(())
}
