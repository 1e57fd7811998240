//! cpio in the "newc" format that the kernel's initramfs unpacker reads
//! (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::io::{self, Write};

/// The largest file that newc can hold: its size field has 32 bits.
pub const MAX_FILE_SIZE: u64 = u32::MAX as u64;

const S_IFIFO: u32 = 0o010_000;
const S_IFCHR: u32 = 0o020_000;
const S_IFDIR: u32 = 0o040_000;
const S_IFBLK: u32 = 0o060_000;
const S_IFREG: u32 = 0o100_000;
const S_IFLNK: u32 = 0o120_000;

/// Headers and data are each padded to a multiple of this many bytes.
const ALIGN: usize = 4;

/// The type of a member; its data follows the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileType {
    /// A directory.
    Directory,
    /// A regular file with this many bytes of data.
    Regular(u32),
    /// A symbolic link whose target has this many bytes.
    Symlink(u32),
    /// A character device.
    Char {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    Block {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

/// One member's header, with the field names of the format's description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// Path without a leading slash.
    pub name: &'a str,
    /// The type, with size or device numbers.
    pub file_type: FileType,
    /// Permission bits.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time in seconds since 1970.
    pub mtime: u32,
    /// Inode number; it is compared only between members with `nlink` ≥ 2.
    pub ino: u32,
    /// The number of names that this inode has in the archive.
    pub nlink: u32,
}

/// Writes `header`. For files and symlinks, the caller then writes exactly the announced number of
/// bytes and calls [`pad`].
///
/// # Errors
/// Errors of `out`.
pub fn write_header(out: &mut impl Write, header: &Header<'_>) -> io::Result<()> {
    let (type_bits, size, rmajor, rminor) = match header.file_type {
        FileType::Directory => (S_IFDIR, 0, 0, 0),
        FileType::Regular(size) => (S_IFREG, size, 0, 0),
        FileType::Symlink(size) => (S_IFLNK, size, 0, 0),
        FileType::Char { major, minor } => (S_IFCHR, 0, major, minor),
        FileType::Block { major, minor } => (S_IFBLK, 0, major, minor),
        FileType::Fifo => (S_IFIFO, 0, 0, 0),
    };
    let fields = [
        header.ino,
        type_bits | u32::from(header.mode),
        header.uid,
        header.gid,
        header.nlink,
        header.mtime,
        size,
        0,
        0,
        rmajor,
        rminor,
    ];
    write_raw(out, fields, header.name)
}

/// Writes the trailer that ends an archive.
///
/// # Errors
/// Errors of `out`.
pub fn write_trailer(out: &mut impl Write) -> io::Result<()> {
    write_raw(out, [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], "TRAILER!!!")
}

/// The number of padding bytes after `size` bytes of data.
pub fn padding(size: u64) -> usize {
    let over = usize::try_from(size % ALIGN as u64).unwrap_or(0);
    (ALIGN - over) % ALIGN
}

/// Writes the padding after `size` bytes of data.
///
/// # Errors
/// Errors of `out`.
pub fn pad(out: &mut impl Write, size: u64) -> io::Result<()> {
    out.write_all(&[0; ALIGN][..padding(size)])
}

fn write_raw(out: &mut impl Write, fields: [u32; 11], name: &str) -> io::Result<()> {
    let name_size = name.len() + 1;
    let mut header = Vec::with_capacity(110 + name_size + ALIGN);
    header.extend_from_slice(b"070701");
    for field in fields {
        write!(header, "{field:08X}")?;
    }
    // c_namesize counts the NUL; c_check is always zero in newc.
    write!(header, "{name_size:08X}{:08X}", 0)?;
    header.extend_from_slice(name.as_bytes());
    header.push(0);
    while header.len() % ALIGN != 0 {
        header.push(0);
    }
    out.write_all(&header)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str, file_type: FileType) -> Header<'_> {
        Header { name, file_type, mode: 0o640, uid: 7, gid: 8, mtime: 1_700_000_000, ino: 3, nlink: 1 }
    }

    #[test]
    fn an_independent_reader_reads_back_what_was_written() {
        let mut bytes = Vec::new();
        write_header(&mut bytes, &header("etc/a", FileType::Regular(5))).expect("written");
        bytes.extend_from_slice(b"hello");
        pad(&mut bytes, 5).expect("padded");
        write_header(&mut bytes, &header("dev/null", FileType::Char { major: 1, minor: 3 })).expect("written");
        write_trailer(&mut bytes).expect("written");
        assert_eq!(bytes.len() % 4, 0);

        let mut reader = cpio::NewcReader::new(bytes.as_slice()).expect("a member");
        let entry = reader.entry();
        assert_eq!((entry.name(), entry.mode(), entry.file_size()), ("etc/a", 0o100_640, 5));
        assert_eq!((entry.uid(), entry.gid(), entry.mtime(), entry.ino()), (7, 8, 1_700_000_000, 3));
        let mut data = String::new();
        io::Read::read_to_string(&mut reader, &mut data).expect("read");
        assert_eq!(data, "hello");
        let reader = cpio::NewcReader::new(reader.finish().expect("next")).expect("a member");
        let entry = reader.entry();
        assert_eq!((entry.name(), entry.mode(), entry.rdev_major(), entry.rdev_minor()), ("dev/null", 0o020_640, 1, 3));
        let reader = cpio::NewcReader::new(reader.finish().expect("next")).expect("a member");
        assert!(reader.entry().is_trailer());
    }
}
