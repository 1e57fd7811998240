//! `kiln agent`.

use kiln_render::AGENT;
use std::io::Write as _;
use std::path::PathBuf;

/// Write the agent that every image contains to a file, for images that kiln does not make
///
/// It is one static program: put it into an image, start it before kubelet, and give the machine a
/// seed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  kiln agent --extract kiln-agent")]
pub(super) struct AgentArgs {
    /// File to write it to
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    extract: PathBuf,
}

pub(super) fn run(args: &AgentArgs) -> anyhow::Result<()> {
    super::file::write(&args.extract, 0o755, |file| file.write_all(AGENT.bytes()))
}
