//! The command line: parses arguments, dispatches to one file per verb, prints an error once.
//! Only this room reads the environment and the clock.

mod agent;
mod args;
mod boot;
mod build;
mod cache;
mod completions;
mod diff;
mod file;
mod host;
mod import;
mod inspect;
mod lock;
mod plan;
mod schema;
mod seed;
mod signals;
mod units;
mod verify;

use crate::build::format_error;
use clap::{Parser, Subcommand};
use host::Host;
use kiln_profile::ProfileError;
use kiln_profile::import::ImportError;
use kiln_tree::Printable;
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
    /// Number of threads [default: one per processor]; the image does not depend on it
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
    Plan(plan::PlanArgs),
    /// Make a profile from a node's files: kubelet's flags and configuration, kubeadm's documents
    Import(import::ImportArgs),
    /// Pin every input of a role in its lock file
    Lock(lock::LockArgs),
    /// Bake a role's image
    Build(build::BuildArgs),
    /// Boot a baked image in QEMU, its console in this terminal
    Boot(boot::BootArgs),
    /// List the contents of a baked image, or print one of its files
    Inspect(inspect::InspectArgs),
    /// Check a node's seed, and deliver it: on a volume, to QEMU, by URL
    Seed(seed::SeedArgs),
    /// Write the agent that every image contains to a file, for images that kiln does not make
    Agent(agent::AgentArgs),
    /// Check that an output matches its manifest and is fit for production
    Verify(verify::VerifyArgs),
    /// Show what a roll-out would change: compare two outputs, images or profiles
    Diff(diff::DiffArgs),
    /// Show or trim the cache
    Cache(cache::CacheArgs),
    /// Print a shell's completion script
    Completions(completions::CompletionsArgs),
    /// Print the JSON Schema of a profile, for editors
    Schema(schema::SchemaArgs),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    reserve_files();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            // Printing fails when the terminal is closed; the exit code is enough then.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match run(cli) {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

/// Makes files that kiln creates unwritable for all other users, whatever umask(2) is: outputs are
/// booted, and caches are believed.
fn reserve_files() {
    use rustix::fs::Mode;
    let mask = rustix::process::umask(Mode::WOTH);
    rustix::process::umask(mask | Mode::WOTH);
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    // Verbs that need neither cache nor progress also work without HOME, e.g. while a package is
    // built.
    let host = || Host::new(&cli.global);
    let done = match cli.verb {
        Verb::Verify(args) => return verify::run(&args),
        Verb::Diff(args) => return Ok(diff::run(&cli.global, &args)),
        Verb::Plan(args) => plan::run(&host()?, &args),
        Verb::Import(args) => import::run(&host()?, &args),
        Verb::Lock(args) => lock::run(&host()?, &args),
        Verb::Build(args) => build::run(&host()?, &args),
        Verb::Boot(args) => boot::run(&host()?, &args),
        Verb::Inspect(args) => inspect::run(&args),
        Verb::Seed(args) => seed::run(&args),
        Verb::Agent(args) => agent::run(&args),
        Verb::Cache(args) => cache::run(&host()?, &args),
        Verb::Completions(args) => completions::run(&args),
        Verb::Schema(args) => schema::run(&args),
    };
    done.map(|()| ExitCode::SUCCESS)
}

fn fail(error: &anyhow::Error) -> ExitCode {
    signals::yield_to_signal();
    if is_closed_pipe(error) {
        return ExitCode::SUCCESS;
    }
    let rule = error.chain().find_map(|cause| match cause.downcast_ref::<ImportError>() {
        Some(import) => import.rule(),
        None => cause.downcast_ref::<ProfileError>()?.rule(),
    });
    let rule = rule.map(|rule| format!(" (see {rule})")).unwrap_or_default();
    // A name from an image or a server must not change the terminal.
    eprintln!("kiln: {}{rule}", Printable::sentence(&format_error(error.as_ref())));
    ExitCode::FAILURE
}

/// Whether standard output was closed, as in `kiln inspect … | head`: that is not a failure.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let kind =
        |cause: &(dyn std::error::Error + 'static)| cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    error.chain().any(|cause| kind(cause) == Some(std::io::ErrorKind::BrokenPipe))
}
