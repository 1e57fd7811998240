//! `kiln schema`.

use crate::profile;
use std::io::Write;

/// Print the JSON Schema of a profile, for editors
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  kiln schema > profiles/profile.schema.json\n  # then, at the top of a profile:\n  # yaml-language-server: $schema=profile.schema.json"
)]
pub struct Args {
    /// The schema of a release file (profiles/releases/*.yaml) instead
    #[arg(long)]
    release: bool,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let schema = if args.release { profile::release_schema() } else { profile::schema() };
    writeln!(std::io::stdout(), "{schema:#}")?;
    Ok(())
}
