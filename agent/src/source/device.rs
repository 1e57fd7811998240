//! Block devices that may hold a seed: small volumes with a known label, read without mounting
//! them.

use super::{fat, iso9660};
use crate::root::RootDir;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::thread;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// This file exists while udev still processes devices.
const UDEV_QUEUE: &str = "/run/udev/queue";
/// The time limit for devices to appear.
const SETTLE: Duration = Duration::from_secs(15);
const TICK: Duration = Duration::from_millis(50);
/// A limit above the number of devices of any machine.
const MAX_DEVICES: usize = 8192;

/// A volume with one of the two file systems.
pub(super) enum Volume {
    /// FAT.
    Fat(fat::Fat<File>),
    /// ISO 9660.
    Iso(iso9660::Iso<File>),
}

impl Volume {
    /// The content of the file at `path`, of at most `limit` bytes; names are case-insensitive.
    pub(super) fn read(&mut self, path: &str, limit: usize) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        match self {
            Self::Fat(volume) => volume.read(path, limit),
            Self::Iso(volume) => volume.read(path, limit),
        }
    }

    /// The location of the content of the file at `path` on the device.
    pub(super) fn locate(&mut self, path: &str, limit: usize) -> io::Result<Option<Pieces>> {
        match self {
            Self::Fat(volume) => volume.locate(path, limit),
            Self::Iso(volume) => volume.locate(path, limit),
        }
    }
}

/// Parts of a device in the order of their contents: offset and length in bytes.
pub(super) type Pieces = Vec<(u64, usize)>;

/// Reads the contents of `pieces`, one after another.
pub(super) fn read_pieces<R: io::Read + io::Seek>(device: &mut R, pieces: &Pieces) -> io::Result<Zeroizing<Vec<u8>>> {
    // Allocated at its full size, so that growing leaves no copies of a secret behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(pieces.iter().map(|(_, length)| length).sum()));
    for (offset, length) in pieces {
        bytes.extend_from_slice(&Zeroizing::new(read_at(device, *offset, *length)?));
    }
    Ok(bytes)
}

/// Writes `bytes` to `pieces` of `device`, and waits until they are on the device.
pub(super) fn overwrite(root: &RootDir, device: &str, pieces: &Pieces, mut bytes: &[u8]) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(root.at(device))?;
    for (offset, length) in pieces {
        let (piece, rest) = bytes.split_at_checked(*length).ok_or(io::ErrorKind::InvalidInput)?;
        file.write_all_at(piece, *offset)?;
        bytes = rest;
    }
    file.sync_all()
}

/// All volumes with the label `label` (case-insensitive), with their devices, by name. One is open at
/// a time, because there may be many.
pub(super) fn find(root: &RootDir, label: &str) -> impl Iterator<Item = (String, Volume)> {
    let deadline = Instant::now() + SETTLE;
    while root.at(UDEV_QUEUE).exists() && Instant::now() < deadline {
        thread::sleep(TICK);
    }
    let entries = fs::read_dir(root.at("/sys/class/block")).into_iter().flatten();
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).take(MAX_DEVICES).collect();
    names.sort();
    names.into_iter().filter_map(move |name| {
        let device = format!("/dev/{name}");
        open(root, &device, label).map(|volume| (device, volume))
    })
}

fn open(root: &RootDir, device: &str, label: &str) -> Option<Volume> {
    let file = || File::open(root.at(device)).ok();
    // An empty drive or a device that is not ready counts as no volume.
    if let Some(volume) = iso9660::Iso::open(file()?).ok().flatten() {
        return volume.label().eq_ignore_ascii_case(label).then_some(Volume::Iso(volume));
    }
    let volume = fat::Fat::open(file()?).ok().flatten()?;
    volume.label().eq_ignore_ascii_case(label).then_some(Volume::Fat(volume))
}

/// `length` bytes at `offset`.
pub(super) fn read_at<R: io::Read + io::Seek>(device: &mut R, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    device.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::with_capacity(length);
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
