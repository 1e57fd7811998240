//! Tests whether KVM is usable.

use super::machine::spawn;
use super::{Accelerator, BootError, Image, Machine};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// The time that a kernel may take to print its first line. Under working KVM it takes well below a
/// second.
const PATIENCE: Duration = Duration::from_secs(5);

/// Boots a PXE set's kernel alone, or a disk's firmware, under KVM and waits for its first line on
/// the console.
///
/// Opening `/dev/kvm` is no proof: on some nested and para-virtual hosts it opens, but real mode
/// hangs.
///
/// # Errors
/// [`BootError`] when QEMU cannot be run at all.
pub fn kvm_works<'a>(image: impl Into<Image<'a>>) -> Result<bool, BootError> {
    if !Path::new("/dev/kvm").exists() {
        return Ok(false);
    }
    let image = image.into();
    let machine = Machine { memory_mib: 512, cpus: 1, ..Machine::new(Accelerator::Kvm) };
    let mut qemu = Command::new(Machine::program(image.arch()).0);
    qemu.args(["-chardev", "stdio,id=console,signal=off"]).args(machine.hardware(image.arch()));
    let sign = match image {
        Image::Pxe(set) => {
            let console = "console=ttyS0 earlyprintk=serial console=ttyAMA0 earlycon panic=-1";
            qemu.arg("-kernel").arg(&set.kernel).args(["-append", console]);
            "Linux version"
        }
        Image::Disk(disk) => {
            // The firmware finds nothing to boot and prints that.
            qemu.args(disk.firmware.arguments());
            "BdsDxe"
        }
    };
    qemu.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = spawn(&mut qemu, image.arch())?;
    let spoke = child.stdout.take().is_some_and(|stdout| speaks(stdout, sign, PATIENCE));
    child.kill().ok();
    child.wait().ok();
    Ok(spoke)
}

/// Whether `sign` appears on `console` within `patience`.
fn speaks(mut console: impl Read + Send + 'static, sign: &str, patience: Duration) -> bool {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut block = [0; 4096];
        while let Ok(length @ 1..) = console.read(&mut block) {
            if sender.send(block[..length].to_vec()).is_err() {
                return;
            }
        }
    });
    let deadline = Instant::now() + patience;
    let mut text = Vec::new();
    while let Ok(bytes) = receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        text.extend(bytes);
        if text.windows(sign.len()).any(|window| window == sign.as_bytes()) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_banner_is_recognised_and_silence_times_out() {
        assert!(speaks(&b"SeaBIOS\n[    0.000000] Linux version 6.1.0"[..], "Linux version", PATIENCE));
        assert!(!speaks(&b"SeaBIOS"[..], "Linux version", PATIENCE));
        let started = Instant::now();
        let (silent, _writer) = std::io::pipe().expect("a pipe");
        assert!(!speaks(silent, "Linux version", Duration::from_millis(50)));
        assert!(started.elapsed() < Duration::from_secs(3));
    }
}
