//! The command line: parses, dispatches to one file per verb, prints an error once.
//!
//! Only this room reads the environment and the clock.

mod args;
mod boot;
mod build;
mod cache;
mod completions;
mod host;
mod inspect;
mod lock;
mod plan;
mod schema;
mod signals;
mod units;

use clap::{Parser, Subcommand};
use host::Host;
use std::path::PathBuf;
use std::process::ExitCode;

/// Bakes immutable Kubernetes node images: unprivileged, reproducible, in seconds.
#[derive(Debug, Parser)]
#[command(name = "kiln", version, about, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Args)]
struct Global {
    /// Directory of the profiles
    #[arg(long, global = true, value_name = "DIR", default_value = "profiles", value_hint = clap::ValueHint::DirPath)]
    profiles: PathBuf,
    /// Directory of the cache [default: $XDG_CACHE_HOME/kiln or ~/.cache/kiln]
    #[arg(long, global = true, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    cache: Option<PathBuf>,
    /// Threads to use [default: one per processor]; the image does not depend on it
    #[arg(short, long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Show warnings and errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Show details
    #[arg(short, long, global = true)]
    verbose: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show what would be baked: the resolved profile and its inputs
    Plan(plan::Args),
    /// Pin every input of a role in its lock file
    Lock(lock::Args),
    /// Bake a role's image
    Build(build::Args),
    /// Boot a baked image in QEMU, its console in this terminal
    Boot(boot::Args),
    /// List what is in a baked image, or print one of its files
    Inspect(inspect::Args),
    /// Show or trim the cache
    Cache(cache::Args),
    /// Print a shell's completion script
    Completions(completions::Args),
    /// Print the JSON Schema of a profile, for editors
    Schema(schema::Args),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            // A closed terminal is no reason to fail twice.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let host = match Host::new(&cli.global) {
        Ok(host) => host,
        Err(error) => return fail(&error),
    };
    let result = match cli.verb {
        Verb::Plan(args) => plan::run(&host, &args),
        Verb::Lock(args) => lock::run(&host, &args),
        Verb::Build(args) => build::run(&host, &args),
        Verb::Boot(args) => boot::run(&host, &args),
        Verb::Inspect(args) => inspect::run(&args),
        Verb::Cache(args) => cache::run(&host, &args),
        Verb::Completions(args) => completions::run(&args),
        Verb::Schema(args) => schema::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    signals::yield_to_signal();
    if is_closed_pipe(error) {
        return ExitCode::SUCCESS;
    }
    eprintln!("kiln: {}", sentence(error));
    ExitCode::FAILURE
}

/// An error and its causes in one line. Most errors quote their cause; such a cause is not said again.
fn sentence(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// `kiln inspect … | head` is no failure.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let kind =
        |cause: &(dyn std::error::Error + 'static)| cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    error.chain().any(|cause| kind(cause) == Some(std::io::ErrorKind::BrokenPipe))
}

#[cfg(test)]
mod tests {
    use super::sentence;
    use anyhow::Context as _;

    #[derive(Debug, thiserror::Error)]
    #[error("reading x: {source}; look elsewhere")]
    struct Quoting {
        source: std::io::Error,
    }

    #[test]
    fn an_error_is_one_line_and_says_nothing_twice() {
        let error = anyhow::Error::new(Quoting { source: std::io::Error::other("it is\n  gone") });
        assert_eq!(sentence(&error), "reading x: it is gone; look elsewhere");
        let error = Err::<(), _>(error).context("building").expect_err("an error");
        assert_eq!(sentence(&error), "building: reading x: it is gone; look elsewhere");
    }
}
