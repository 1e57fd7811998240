//! Kernel calls without a safe wrapper: device-mapper (include/uapi/linux/dm-ioctl.h) and growing
//! ext4.

use rustix::io::Errno;
use rustix::ioctl::{Setter, Updater, ioctl, opcode};
use std::fs::File;
use std::io;

/// The number of bytes that the kernel may read and write in one call: the header and a table of
/// one target.
const BUFFER: usize = 4096;
/// `struct dm_ioctl`, whose size is part of the command numbers.
const HEADER: usize = 312;
/// `struct dm_target_spec`.
const TARGET_SPEC: usize = 40;
/// `DM_NAME_LEN` and `DM_UUID_LEN`, with the byte that ends each.
const NAME_LEN: usize = 128;
const UUID_LEN: usize = 129;

/// `DM_IOCTL` and the numbers of its commands.
const DM_IOCTL: u8 = 0xfd;
const DM_DEV_CREATE: u8 = 3;
const DM_DEV_SUSPEND: u8 = 6;
const DM_TABLE_LOAD: u8 = 9;

/// `DM_READONLY_FLAG`, bit 0 of `flags`; without `DM_SUSPEND_FLAG`, suspending is resuming.
const DM_READONLY: u32 = 1;

type Header = [u8; HEADER];

/// The input and output of a command.
#[repr(C, align(8))]
struct Buffer([u8; BUFFER]);

/// A target that is a whole device.
pub(crate) struct Target<'a> {
    /// Its size in 512-byte sectors.
    pub sectors: u64,
    /// Its kind, `verity`.
    pub kind: &'a str,
    /// Its parameters.
    pub params: &'a str,
}

/// Makes the read-only device-mapper device `name` with one target and activates it. Returns its
/// minor number: the kernel calls it `dm-N`.
pub(crate) fn map_read_only(name: &str, uuid: &str, target: &Target<'_>) -> io::Result<u32> {
    let control = File::options().read(true).write(true).open("/dev/mapper/control")?;
    let mut buffer = Buffer::new(name, uuid)?;
    command::<{ opcode::read_write::<Header>(DM_IOCTL, DM_DEV_CREATE) }>(&control, &mut buffer)?;
    let minor = rustix::fs::minor(buffer.dev());
    let mut buffer = Buffer::new(name, "")?;
    buffer.set_target(target)?;
    command::<{ opcode::read_write::<Header>(DM_IOCTL, DM_TABLE_LOAD) }>(&control, &mut buffer)?;
    let mut buffer = Buffer::new(name, "")?;
    command::<{ opcode::read_write::<Header>(DM_IOCTL, DM_DEV_SUSPEND) }>(&control, &mut buffer)?;
    Ok(minor)
}

impl Buffer {
    fn new(name: &str, uuid: &str) -> io::Result<Self> {
        let mut buffer = Self([0; BUFFER]);
        buffer.u32(0, 4);
        buffer.u32(12, u32::try_from(BUFFER).map_err(io::Error::other)?);
        buffer.u32(16, u32::try_from(HEADER).map_err(io::Error::other)?);
        buffer.u32(28, DM_READONLY);
        buffer.text(48, NAME_LEN, name)?;
        buffer.text(48 + NAME_LEN, UUID_LEN, uuid)?;
        Ok(buffer)
    }

    fn set_target(&mut self, target: &Target<'_>) -> io::Result<()> {
        self.u32(20, 1);
        self.0[HEADER + 8..HEADER + 16].copy_from_slice(&target.sectors.to_ne_bytes());
        self.text(HEADER + 24, 16, target.kind)?;
        self.text(HEADER + TARGET_SPEC, BUFFER - HEADER - TARGET_SPEC, target.params)
    }

    /// `dev`.
    fn dev(&self) -> u64 {
        let mut dev = [0; 8];
        dev.copy_from_slice(&self.0[40..48]);
        u64::from_ne_bytes(dev)
    }

    fn u32(&mut self, at: usize, value: u32) {
        self.0[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }

    /// Writes text and a terminating zero byte, in a field of `size` bytes.
    fn text(&mut self, at: usize, size: usize, text: &str) -> io::Result<()> {
        if text.len() >= size || text.contains('\0') {
            return Err(io::Error::other(format!("{text:?} does not fit into {size} bytes")));
        }
        self.0[at..at + text.len()].copy_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Runs a command of device-mapper.
#[allow(unsafe_code)]
fn command<const OPCODE: rustix::ioctl::Opcode>(control: &File, buffer: &mut Buffer) -> Result<(), Errno> {
    // SAFETY: device-mapper reads and writes no more than the header's `data_size` bytes, which
    // `Buffer::new` sets to the buffer's own size, and any bytes are a valid `Buffer`.
    unsafe { ioctl(control, Updater::<OPCODE, Buffer>::new(buffer)) }
}

/// Grows the mounted ext4 of `mount_point` to `blocks` blocks; does nothing if it already has that
/// size.
#[allow(unsafe_code)]
pub(crate) fn grow_ext4(mount_point: &File, blocks: u64) -> Result<(), Errno> {
    const EXT4_IOC_RESIZE_FS: rustix::ioctl::Opcode = opcode::write::<u64>(b'f', 16);
    // SAFETY: the command reads one 64-bit number, which is what `Setter` points it to.
    unsafe { ioctl(mount_point, Setter::<EXT4_IOC_RESIZE_FS, u64>::new(blocks)) }
}
