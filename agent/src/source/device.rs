//! Block devices that may hold a seed: small volumes with a known label, read without mounting them.

use super::{fat, iso9660};
use crate::root::Root;
use std::fs::{self, File};
use std::io::{self, Read as _, SeekFrom};
use std::thread;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// udev has this file while devices are still being found.
const UDEV_QUEUE: &str = "/run/udev/queue";
/// How long devices are waited for.
const SETTLE: Duration = Duration::from_secs(15);
const TICK: Duration = Duration::from_millis(50);
/// More devices than any machine boots with.
const MAX_DEVICES: usize = 256;

/// A volume, of whichever of the two file systems.
pub enum Volume {
    /// FAT.
    Fat(fat::Fat<File>),
    /// ISO 9660.
    Iso(iso9660::Iso<File>),
}

impl Volume {
    /// The content of the file at `path`, of at most `limit` bytes; names in any case.
    pub fn read(&mut self, path: &str, limit: usize) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        match self {
            Self::Fat(volume) => volume.read(path, limit),
            Self::Iso(volume) => volume.read(path, limit),
        }
    }
}

/// The first volume labelled `label` (in any case), and its device.
pub fn find(root: &Root, label: &str) -> Option<(String, Volume)> {
    let deadline = Instant::now() + SETTLE;
    while root.at(UDEV_QUEUE).exists() && Instant::now() < deadline {
        thread::sleep(TICK);
    }
    let entries = fs::read_dir(root.at("/sys/class/block")).ok()?;
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).take(MAX_DEVICES).collect();
    names.sort();
    names.into_iter().find_map(|name| {
        let device = format!("/dev/{name}");
        let volume = open(root, &device, label)?;
        Some((device, volume))
    })
}

fn open(root: &Root, device: &str, label: &str) -> Option<Volume> {
    let file = || File::open(root.at(device)).ok();
    // An empty drive, a device that is not ready: no volume.
    if let Some(volume) = iso9660::Iso::open(file()?).ok().flatten() {
        return volume.label().eq_ignore_ascii_case(label).then_some(Volume::Iso(volume));
    }
    let volume = fat::Fat::open(file()?).ok().flatten()?;
    volume.label().eq_ignore_ascii_case(label).then_some(Volume::Fat(volume))
}

/// `length` bytes at `offset`.
pub(super) fn read_at<R: io::Read + io::Seek>(device: &mut R, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    device.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    device.by_ref().take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

/// A little-endian number of `N` bytes (at most 4) at `at`; 0 beyond the end.
pub(super) fn le<const N: usize>(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + N).unwrap_or_default().iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}
