//! `kiln boot`.

use super::host::Host;

/// Boot a baked image in QEMU, its console in this terminal
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_host: &Host, _args: &Args) -> anyhow::Result<()> {
    anyhow::bail!("boot is being merged")
}
