//! QEMU's command line.

use super::{BootError, Handout, Image, PxeSet};
use kiln_profile::Arch;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

/// How the guest's instructions are executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// By the CPU.
    Kvm,
    /// By QEMU's binary translator.
    Tcg,
}

/// The bus of the machine's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bus {
    /// QEMU's own bus, and that of most clouds.
    Virtio,
    /// NVM Express, as on EC2 and most hardware.
    Nvme,
    /// SATA.
    Ahci,
}

/// The virtual machine.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Memory in MiB. The root file system of a PXE node may take half of it.
    pub memory_mib: u32,
    /// Virtual CPUs.
    pub cpus: u32,
    /// How instructions are executed.
    pub accelerator: Accelerator,
    /// The bus of the boot disk.
    pub bus: Bus,
    /// An additional raw disk, writable.
    pub disk: Option<PathBuf>,
    /// More arguments for QEMU.
    pub more: Vec<OsString>,
}

impl Machine {
    /// A machine for a worker: 3 GiB of memory, and two CPUs under KVM.
    ///
    /// One CPU under TCG: with three, a kernel once failed on a stray breakpoint (`Oops: int3`)
    /// while it patched its own code, probably because of a race in QEMU's multi-threaded
    /// translator; and more virtual CPUs hardly speed up a boot.
    pub fn new(accelerator: Accelerator) -> Self {
        let cpus = if accelerator == Accelerator::Kvm { 2 } else { 1 };
        Self { memory_mib: 3072, cpus, accelerator, bus: Bus::Virtio, disk: None, more: Vec::new() }
    }

    /// QEMU's program for `arch`, and the Debian package that contains it.
    pub(super) fn program(arch: Arch) -> (&'static str, &'static str) {
        match arch {
            Arch::Amd64 => ("qemu-system-x86_64", "qemu-system-x86"),
            Arch::Arm64 => ("qemu-system-aarch64", "qemu-system-arm"),
        }
    }

    /// QEMU's arguments to boot `image`. The guest's console is the character device `console`,
    /// which the caller adds (`-chardev …,id=console`); with `report`, the lines that a handout's
    /// script prints go to that Unix socket.
    pub fn arguments(&self, image: Image<'_>, handout: &Handout, report: Option<&Path>) -> Vec<OsString> {
        let arch = image.arch();
        let mut arguments = self.hardware(arch);
        let mut add = |words: &[&str]| arguments.extend(words.iter().map(OsString::from));
        // Without the boot ROM: nothing boots from QEMU's network.
        add(&["-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile="]);
        add(&["-device", "virtio-rng-pci"]);
        if let Some((name, credential)) = handout.credential(arch) {
            // QEMU reads a doubled comma as a comma.
            let content = credential.replace(',', ",,");
            add(&["-fw_cfg", &format!("name=opt/io.systemd.credentials/{name},string={content}")]);
        }
        if let Some(path) = report {
            let mut chardev = OsString::from("socket,id=report,path=");
            chardev.push(path);
            arguments.extend(["-chardev".into(), chardev]);
            let port = match arch {
                Arch::Amd64 => ["-serial", "chardev:report"],
                // The virt machine has only one built-in serial port.
                Arch::Arm64 => ["-device", "pci-serial,chardev=report"],
            };
            arguments.extend(port.map(OsString::from));
        }
        if let Some(path) = &self.disk {
            arguments.extend(drive("data", "raw", path));
            arguments.extend(Bus::Virtio.devices("data", ""));
        }
        arguments.extend(self.more.iter().cloned());
        arguments.extend(match image {
            Image::Pxe(set) => kernel(set),
            Image::Disk(disk) => {
                [disk.firmware.arguments(), drive("disk", "qcow2", &disk.path).into(), self.bus.devices("disk", BOOTS)]
                    .concat()
            }
        });
        arguments
    }

    /// The arguments for processor, memory, and a console on the character device `console`; no
    /// reboot, no display, no default devices.
    pub(super) fn hardware(&self, arch: Arch) -> Vec<OsString> {
        let (accel, cpu) = match self.accelerator {
            Accelerator::Kvm => ("kvm", "host"),
            Accelerator::Tcg => ("tcg,thread=multi", "max"),
        };
        let machine = match arch {
            Arch::Amd64 => "q35",
            Arch::Arm64 => "virt",
        };
        let (memory, cpus) = (format!("{}M", self.memory_mib), self.cpus.to_string());
        [
            ["-machine", machine],
            ["-accel", accel],
            ["-cpu", cpu],
            ["-m", &memory],
            ["-smp", &cpus],
            ["-serial", "chardev:console"],
            ["-display", "none"],
            ["-monitor", "none"],
        ]
        .iter()
        .flatten()
        .chain(&["-nodefaults", "-no-user-config", "-no-reboot"])
        .map(OsString::from)
        .collect()
    }
}

/// The property of the disk that firmware boots, whatever other disks the machine has.
const BOOTS: &str = ",bootindex=0";

/// Direct kernel boot.
fn kernel(set: &PxeSet) -> Vec<OsString> {
    let cmdline = format!("{} {}", set.cmdline, console(set.arch));
    let (kernel, initramfs) = (set.kernel.clone().into(), set.initramfs.clone().into());
    ["-append".into(), cmdline.into(), "-kernel".into(), kernel, "-initrd".into(), initramfs].into()
}

/// The arguments for a disk's file. The host does not write a guest's flushes to storage: a guest
/// that is killed loses nothing, and only a crash of the host loses writes.
fn drive(id: &str, format: &str, path: &Path) -> [OsString; 2] {
    let file = path.display().to_string().replace(',', ",,");
    let drive = format!("if=none,id={id},format={format},cache=unsafe,discard=unmap,file={file}");
    ["-drive".into(), drive.into()]
}

impl Bus {
    /// The arguments for the disk with the file `drive`, and its controller; `more` are properties of
    /// the disk.
    fn devices(self, drive: &str, more: &str) -> Vec<OsString> {
        let devices = match self {
            Self::Virtio => vec![format!("virtio-blk-pci,drive={drive}{more}")],
            // QEMU rejects an NVMe controller without a serial number.
            Self::Nvme => vec![format!("nvme,drive={drive},serial={drive}{more}")],
            Self::Ahci => {
                vec![format!("ich9-ahci,id={drive}-bus"), format!("ide-hd,drive={drive},bus={drive}-bus.0{more}")]
            }
        };
        devices.into_iter().flat_map(|device| ["-device".into(), device.into()]).collect()
    }
}

/// The kernel parameter for the first serial port; as the last console parameter it makes
/// `/dev/console`.
fn console(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "console=ttyS0",
        Arch::Arm64 => "console=ttyAMA0",
    }
}

/// Starts `command`, whose program is QEMU for `arch`.
pub(super) fn spawn(command: &mut Command, arch: Arch) -> Result<Child, BootError> {
    let (program, package) = Machine::program(arch);
    command.spawn().map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => BootError::NoQemu { program, package },
        _ => BootError::Qemu { program, source },
    })
}
