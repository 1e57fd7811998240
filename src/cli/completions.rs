//! `kiln completions`.

use clap::CommandFactory;
use std::io::Write;

/// Print a shell's completion script
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  kiln completions bash > /etc/bash_completion.d/kiln")]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: clap_complete::Shell,
}

pub(super) fn run(args: &CompletionsArgs) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "kiln", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(())
}
