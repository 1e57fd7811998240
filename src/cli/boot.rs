//! `kiln boot`.

use super::host::Host;
use crate::boot::{Accelerator, Handout, Machine, PxeSet, attached, kvm_works};
use std::path::PathBuf;

/// Boot a baked image in QEMU, its console in this terminal
///
/// The image itself is not changed: what --demo adds is handed to the guest as a systemd credential. Ctrl-C ends the
/// machine.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kiln boot out/worker\n  kiln boot out/worker --demo --memory 4096")]
pub struct Args {
    /// Output directory of a build
    #[arg(value_hint = clap::ValueHint::DirPath)]
    output: PathBuf,
    /// Run kubelet standalone, without a cluster, and report when containerd and kubelet are up
    #[arg(long)]
    demo: bool,
    /// With --demo: power off once kubelet is healthy
    #[arg(long, requires = "demo")]
    once: bool,
    /// Memory in MiB
    #[arg(long, value_name = "MIB", default_value_t = 3072, value_parser = clap::value_parser!(u32).range(512..))]
    memory: u32,
    /// Virtual CPUs [default: 2 under KVM, else 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=255))]
    cpus: Option<u32>,
}

pub fn run(host: &Host, args: &Args) -> anyhow::Result<()> {
    let set = PxeSet::open(&args.output)?;
    let accelerator = if kvm_works(&set)? { Accelerator::Kvm } else { Accelerator::Tcg };
    if accelerator == Accelerator::Tcg {
        host.progress
            .info("KVM is not usable here; QEMU translates every instruction, which is about ten times slower");
    }
    let usual = Machine::new(accelerator);
    let machine = Machine { memory_mib: args.memory, cpus: args.cpus.unwrap_or(usual.cpus), ..usual };
    let handout = if args.demo { Handout::none().standalone().readiness(args.once) } else { Handout::none() };
    attached(&machine, &set, &handout, |line, after| {
        host.progress.info(format_args!("{line} (power-on + {:.1} s)", after.as_secs_f64()));
    })?;
    Ok(())
}
