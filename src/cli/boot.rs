//! `kiln boot`.

use super::host::Host;
use crate::boot::{Accelerator, Disk, DiskImage, Handout, Image, Machine, PxeSet, kvm_works, run_attached};
use anyhow::Context as _;
use kiln_profile::Output;
use std::path::{Path, PathBuf};

/// Default room for a node's state, in bytes; the file is sparse.
const STATE_ROOM: u64 = 6 << 30;

/// Boot a baked image in QEMU, its console in this terminal Boots a PXE set as a network boot
/// loader would, and a disk by UEFI (its only boot loader; it does not boot with a BIOS). The image
/// itself is not changed: the additions of --demo are passed to the guest as systemd credentials,
/// and a node's writes to its disk are discarded without --keep. Ctrl-C ends the machine.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  kiln boot out/worker\n  kiln boot out/worker --demo --memory 4096\n  kiln boot out/worker --disk --keep node1.qcow2"
)]
pub(super) struct BootArgs {
    /// Output directory of a build
    #[arg(value_hint = clap::ValueHint::DirPath)]
    output: PathBuf,
    /// Boot the PXE set [default: if there is one]
    #[arg(long, conflicts_with = "disk")]
    pxe: bool,
    /// Boot disk.raw [default: if there is no PXE set]
    #[arg(long)]
    disk: bool,
    /// Size of the machine's disk in GiB [default: 6 more than the image]
    #[arg(long, value_name = "GIB", conflicts_with = "pxe", value_parser = clap::value_parser!(u64).range(1..=65536))]
    disk_size: Option<u64>,
    /// Store the node's writes to its disk in FILE (qcow2), and continue from there the next time
    #[arg(long, value_name = "FILE", conflicts_with = "pxe", value_hint = clap::ValueHint::FilePath)]
    keep: Option<PathBuf>,
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

pub(super) fn run(host: &Host, args: &BootArgs) -> anyhow::Result<()> {
    let has_pxe = ["vmlinuz", "pxe/vmlinuz"].iter().any(|kernel| args.output.join(kernel).exists());
    let wants_disk = args.disk || args.disk_size.is_some() || args.keep.is_some();
    if wants_disk || (!args.pxe && !has_pxe && args.output.join(Output::Disk.file()).exists()) {
        // Beside the image, because that file system has room for a node's writes; removed when the
        // machine ends.
        let scratch = tempfile::Builder::new().prefix(".kiln-boot").tempdir_in(&args.output);
        let scratch = scratch.with_context(|| format!("making a directory in {}", args.output.display()))?;
        let disk = disk(args, &DiskImage::open(&args.output)?, &scratch.path().join("disk.qcow2"))?;
        start(host, args, Image::Disk(&disk))
    } else {
        start(host, args, Image::Pxe(&PxeSet::open(&args.output)?))
    }
}

/// The machine's disk; writes go to the file given with `--keep`, else to `scratch`.
fn disk(args: &BootArgs, image: &DiskImage, scratch: &Path) -> anyhow::Result<Disk> {
    let path = args.keep.as_deref().unwrap_or(scratch);
    if path.exists() {
        return Ok(Disk::reopen(image, path)?);
    }
    let size = args.disk_size.map_or(image.size + STATE_ROOM, |gib| gib << 30);
    Ok(Disk::create(image, path, size)?)
}

fn start(host: &Host, args: &BootArgs, image: Image<'_>) -> anyhow::Result<()> {
    let accelerator = if kvm_works(image)? { Accelerator::Kvm } else { Accelerator::Tcg };
    if accelerator == Accelerator::Tcg {
        host.progress
            .info("KVM is not usable here; QEMU translates every instruction, which is about ten times slower");
    }
    let usual = Machine::new(accelerator);
    let machine = Machine { memory_mib: args.memory, cpus: args.cpus.unwrap_or(usual.cpus), ..usual };
    let handout = if args.demo { Handout::none().standalone().readiness(args.once) } else { Handout::none() };
    run_attached(&machine, image, &handout, |line, after| {
        host.progress.info(format_args!("{line} (power-on + {:.1} s)", after.as_secs_f64()));
    })?;
    Ok(())
}
