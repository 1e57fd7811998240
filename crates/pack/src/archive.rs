//! Reads tar archives of dpkg and of releases member by member, with every length bounded.

use super::index::{Index, Member, MemberKind};
use kiln_tree::{DeviceKind, Digest, PathError, TreePath, link_target};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read, Write};
use tar::{EntryType, Header};

/// The most members of one archive; the largest package of Debian has about 100,000.
const MAX_MEMBERS: usize = 1 << 20;
/// The longest long-name (GNU `L`/`K`) or PAX extension, in bytes.
const MAX_EXTENSION: u64 = 1 << 20;
/// The most regular-file bytes of one archive.
const MAX_CONTENT: u64 = 64 << 30;
/// The most bytes of names, targets, attributes and small files, which are kept in memory; the largest
/// package of Debian has 10 MB.
const MAX_INDEX: usize = 64 << 20;
/// The most bytes of small files that are kept in memory; others are read from the cache.
const MAX_INLINE: u64 = 32 << 20;
/// The longest value of an extended attribute (`XATTR_SIZE_MAX`) and name (`XATTR_NAME_MAX`).
const MAX_XATTR: (usize, usize) = (64 << 10, 255);
/// The most bytes after the end of an archive; tar pads to 10 KiB.
const MAX_PADDING: u64 = 64 << 20;
/// The prefix of PAX keys of extended attributes (star(1), GNU tar).
const XATTR_PREFIX: &str = "SCHILY.xattr.";

/// Why an archive cannot become part of an image.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A member's name leaves the tree or is not a valid name.
    #[error("member {member}: {source}")]
    Path {
        /// Its number, from 0.
        member: usize,
        /// What is wrong with its name.
        source: PathError,
    },
    /// A link with a target that is not a valid name.
    #[error("member {path}: its target {source}")]
    Target {
        /// The link.
        path: TreePath,
        /// What is wrong with its target.
        source: PathError,
    },
    /// A hard link to something that is not an earlier file of the archive.
    #[error("member {path} is a hard link to {target:?}, which is not an earlier file of the archive")]
    Hardlink {
        /// The link.
        path: TreePath,
        /// Its target.
        target: String,
    },
    /// A type that an image cannot hold.
    #[error("member {path} has type {kind:?}, which an image cannot hold")]
    Type {
        /// Its path.
        path: TreePath,
        /// tar's type.
        kind: EntryType,
    },
    /// The archive exceeds a limit that real archives stay below.
    #[error("it has more than {0}; real packages do not")]
    TooMuch(String),
    /// Reading, decompressing or storing failed.
    #[error("{0}; the file is damaged or truncated")]
    Read(io::Error),
    /// Writing the contents failed.
    #[error("storing its contents: {0}")]
    Store(io::Error),
}

/// The extensions that precede a member and change its header: GNU long names and PAX records.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u32>,
    gid: Option<u32>,
    mtime: Option<u32>,
    xattrs: BTreeMap<String, Vec<u8>>,
}

/// Reads `tar` to its end, writes the bytes of its regular files to `content` and returns its
/// index, which holds small files that `reads` names (see [`Packer::new`](super::Packer::new)).
///
/// # Errors
/// [`ArchiveError`].
pub fn read_archive(tar: impl Read, reads: &[&str], content: &mut impl Write) -> Result<Index, ArchiveError> {
    let mut reader = Reader { index: Index::default(), files: HashMap::new(), offset: 0, kept: 0, inline: 0, reads };
    let mut archive = tar::Archive::new(tar);
    let mut extensions = Extensions::default();
    // Raw entries, because the crate would read extensions of any announced length into memory.
    for entry in archive.entries().map_err(ArchiveError::Read)?.raw(true) {
        let mut entry = entry.map_err(ArchiveError::Read)?;
        let kind = entry.header().entry_type();
        match kind {
            EntryType::GNULongName => extensions.path = Some(c_string(bounded(&mut entry)?)),
            EntryType::GNULongLink => extensions.link = Some(c_string(bounded(&mut entry)?)),
            EntryType::XHeader => extensions.read_pax(&bounded(&mut entry)?),
            EntryType::XGlobalHeader => drop(bounded(&mut entry)?),
            _ => {
                let header = entry.header().clone();
                reader.member(&header, kind, std::mem::take(&mut extensions), &mut entry, content)?;
            }
        }
    }
    // What follows the end of the archive is padding, but decompressors compare a stream's checksum
    // only at its end.
    let mut rest = archive.into_inner().take(MAX_PADDING + 1);
    if io::copy(&mut rest, &mut io::sink()).map_err(ArchiveError::Read)? > MAX_PADDING {
        return Err(ArchiveError::TooMuch("64 MiB after its end".into()));
    }
    Ok(reader.index)
}

struct Reader<'a> {
    index: Index,
    /// The regular files so far, for hard links.
    files: HashMap<TreePath, u32>,
    offset: u64,
    /// Bytes of names, targets and attributes in the index.
    kept: usize,
    /// Bytes of files in the index.
    inline: u64,
    reads: &'a [&'a str],
}

impl Reader<'_> {
    fn member(
        &mut self,
        header: &Header,
        kind: EntryType,
        extensions: Extensions,
        data: &mut impl Read,
        content: &mut impl Write,
    ) -> Result<(), ArchiveError> {
        let number = self.index.members.len();
        if number >= MAX_MEMBERS {
            return Err(ArchiveError::TooMuch(format!("{MAX_MEMBERS} members")));
        }
        let name = extensions.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let path = match TreePath::from_bytes(&name) {
            Ok(path) => path,
            // The archive's own root, "./": its metadata does not apply to the image.
            Err(PathError::Empty) => return Ok(()),
            Err(source) => return Err(ArchiveError::Path { member: number, source }),
        };
        let target = || {
            let raw = extensions.link.clone().or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned));
            let target = link_target(&raw.unwrap_or_default());
            target.map_err(|source| ArchiveError::Target { path: path.clone(), source })
        };
        let kind = match kind {
            EntryType::Regular | EntryType::Continuous => {
                let size = match extensions.size {
                    Some(size) => size,
                    None => header.size().map_err(ArchiveError::Read)?,
                };
                let kind = self.file(&path, size, data, content)?;
                self.files.insert(path.clone(), u32::try_from(number).unwrap_or(u32::MAX));
                kind
            }
            EntryType::Directory => MemberKind::Directory,
            EntryType::Symlink => MemberKind::Symlink(target()?),
            EntryType::Link => {
                let target = target()?;
                let first = TreePath::new(&target).ok().and_then(|target| self.files.get(&target).copied());
                MemberKind::Hardlink(first.ok_or_else(|| ArchiveError::Hardlink { path: path.clone(), target })?)
            }
            EntryType::Char | EntryType::Block => MemberKind::Device {
                kind: if kind == EntryType::Char { DeviceKind::Char } else { DeviceKind::Block },
                major: header.device_major().map_err(ArchiveError::Read)?.unwrap_or(0),
                minor: header.device_minor().map_err(ArchiveError::Read)?.unwrap_or(0),
            },
            EntryType::Fifo => MemberKind::Fifo,
            kind => return Err(ArchiveError::Type { path, kind }),
        };
        let number = |field: io::Result<u64>| {
            field.and_then(|value| u32::try_from(value).map_err(io::Error::other)).map_err(ArchiveError::Read)
        };
        let mode = header.mode().map_err(ArchiveError::Read)? & 0o7777;
        self.keep(&path, &kind, &extensions.xattrs)?;
        self.index.members.push(Member {
            kind,
            mode: u16::try_from(mode).unwrap_or(0o7777),
            uid: extensions.uid.map_or_else(|| number(header.uid()), Ok)?,
            gid: extensions.gid.map_or_else(|| number(header.gid()), Ok)?,
            mtime: extensions.mtime.map_or_else(|| number(header.mtime()), Ok)?,
            xattrs: extensions.xattrs,
            path,
        });
        Ok(())
    }

    /// Counts what a member adds to the index.
    fn keep(
        &mut self,
        path: &TreePath,
        kind: &MemberKind,
        xattrs: &BTreeMap<String, Vec<u8>>,
    ) -> Result<(), ArchiveError> {
        let target = if let MemberKind::Symlink(target) = kind { target.len() } else { 0 };
        for (name, value) in xattrs {
            if value.len() > MAX_XATTR.0 || name.len() > MAX_XATTR.1 {
                return Err(ArchiveError::TooMuch(format!("64 KiB in an extended attribute of {path}")));
            }
            self.kept += name.len() + value.len();
        }
        self.kept += path.as_str().len() + target;
        if self.kept > MAX_INDEX {
            return Err(ArchiveError::TooMuch("64 MiB of names and attributes".into()));
        }
        Ok(())
    }

    fn file(
        &mut self,
        path: &TreePath,
        size: u64,
        data: &mut impl Read,
        content: &mut impl Write,
    ) -> Result<MemberKind, ArchiveError> {
        let offset = self.offset;
        if offset.checked_add(size).is_none_or(|end| end > MAX_CONTENT) {
            return Err(ArchiveError::TooMuch("64 GiB of files".into()));
        }
        let mut inline = None;
        if Index::keeps_inline(path, size, self.reads) && self.inline + size <= MAX_INLINE {
            self.inline += size;
            inline = Some(Vec::new());
        }
        let mut hasher = Sha256::new();
        let mut left = size;
        let mut buffer = [0; 64 << 10];
        while left > 0 {
            let wanted = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            let got = match data.read(&mut buffer[..wanted]) {
                Ok(0) => return Err(ArchiveError::Read(io::ErrorKind::UnexpectedEof.into())),
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(ArchiveError::Read(error)),
            };
            hasher.update(&buffer[..got]);
            if let Some(inline) = &mut inline {
                inline.extend_from_slice(&buffer[..got]);
            }
            content.write_all(&buffer[..got]).map_err(ArchiveError::Store)?;
            left -= got as u64;
        }
        self.offset += size;
        Ok(MemberKind::File { offset, size, digest: Digest::finish(hasher), inline })
    }
}

impl Extensions {
    /// PAX records (POSIX pax, "Extended Header"): `length key=value\n`. Unknown keys and broken
    /// records are ignored.
    fn read_pax(&mut self, mut records: &[u8]) {
        while let Some(space) = records.iter().position(|&byte| byte == b' ') {
            let Some(length) = std::str::from_utf8(&records[..space]).ok().and_then(|text| text.parse::<usize>().ok())
            else {
                return;
            };
            if length <= space + 1 || length > records.len() {
                return;
            }
            let (record, rest) = records.split_at(length);
            records = rest;
            let record = record[space + 1..].strip_suffix(b"\n").unwrap_or(&record[space + 1..]);
            let Some(equals) = record.iter().position(|&byte| byte == b'=') else { continue };
            let Ok(key) = std::str::from_utf8(&record[..equals]) else { continue };
            self.set(key, &record[equals + 1..]);
        }
    }

    fn set(&mut self, key: &str, value: &[u8]) {
        let text = std::str::from_utf8(value).unwrap_or("");
        match key {
            "path" => self.path = Some(value.to_vec()),
            "linkpath" => self.link = Some(value.to_vec()),
            "size" => self.size = text.parse().ok(),
            "uid" => self.uid = text.parse().ok(),
            "gid" => self.gid = text.parse().ok(),
            "mtime" => self.mtime = text.split('.').next().and_then(|seconds| seconds.parse().ok()),
            _ => {
                if let Some(name) = key.strip_prefix(XATTR_PREFIX) {
                    self.xattrs.insert(name.to_owned(), value.to_vec());
                }
            }
        }
    }
}

fn bounded(entry: &mut impl Read) -> Result<Vec<u8>, ArchiveError> {
    let mut bytes = Vec::new();
    entry.take(MAX_EXTENSION + 1).read_to_end(&mut bytes).map_err(ArchiveError::Read)?;
    if bytes.len() as u64 > MAX_EXTENSION {
        return Err(ArchiveError::TooMuch("a megabyte of extended header".into()));
    }
    Ok(bytes)
}

/// The bytes before the first NUL.
fn c_string(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    bytes.truncate(end);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(tar: &[u8]) -> Result<(Index, Vec<u8>), ArchiveError> {
        let mut content = Vec::new();
        read_archive(tar, &[], &mut content).map(|index| (index, content))
    }

    fn header(kind: EntryType, size: u64) -> Header {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o4755);
        header.set_uid(3);
        header.set_gid(4);
        header.set_mtime(1_600_000_000);
        header
    }

    /// An archive with this raw name, which `tar::Builder` would reject.
    fn tar_with(name: &[u8], kind: EntryType, link: &[u8], data: &[u8]) -> Vec<u8> {
        let mut header = header(kind, data.len() as u64);
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link);
        header.set_cksum();
        let mut out = header.as_bytes().to_vec();
        out.extend_from_slice(data);
        out.resize(out.len().next_multiple_of(512), 0);
        out
    }

    #[test]
    fn members_keep_their_type_and_metadata() {
        let mut tar = tar_with(b"./usr/bin/su", EntryType::Regular, b"", b"setuid");
        tar.extend(tar_with(b"./usr/bin/su2", EntryType::Link, b"./usr/bin/su", b""));
        tar.extend(tar_with(b"usr/lib/x", EntryType::Symlink, b"../../../../etc/x", b""));
        let (index, content) = read(&tar).expect("read");
        assert_eq!(content, b"setuid");
        let su = &index.members[0];
        assert_eq!((su.path.as_str(), su.mode, su.uid, su.gid, su.mtime), ("usr/bin/su", 0o4755, 3, 4, 1_600_000_000));
        assert_eq!(su.kind, MemberKind::File { offset: 0, size: 6, digest: Digest::of(b"setuid"), inline: None });
        assert_eq!(index.members[1].kind, MemberKind::Hardlink(0));
        assert_eq!(index.members[2].kind, MemberKind::Symlink("../../../../etc/x".into()));
    }

    #[test]
    fn long_names_and_xattrs_come_from_extensions() {
        let long = "d/".repeat(80) + "file";
        let record = |key: &str, value: &str| {
            let rest = format!(" {key}={value}\n");
            let mut length = rest.len() + 2;
            length += usize::from(length > 99);
            format!("{length}{rest}")
        };
        let pax = record("SCHILY.xattr.security.capability", "\u{1}\u{0}x") + &record("path", &long);
        let mut tar = tar_with(b"x", EntryType::XHeader, b"", pax.as_bytes());
        tar.extend(tar_with(b"short", EntryType::Regular, b"", b"1"));
        tar.extend(tar_with(b"L", EntryType::GNULongName, b"", (long.clone() + "2\0").as_bytes()));
        tar.extend(tar_with(b"short", EntryType::Regular, b"", b"2"));
        let (index, _) = read(&tar).expect("read");
        assert_eq!(index.members[0].path.as_str(), long);
        assert_eq!(index.members[0].xattrs["security.capability"], b"\x01\0x");
        assert_eq!(index.members[1].path.as_str(), long + "2");
        assert!(index.members[1].xattrs.is_empty());
    }

    #[test]
    fn members_that_leave_the_tree_or_have_unsupported_types_are_rejected() {
        for (tar, why) in [
            (tar_with(b"../etc/passwd", EntryType::Regular, b"", b""), "leaves the tree"),
            (tar_with(b"a/../../b", EntryType::Directory, b"", b""), "leaves the tree"),
            (tar_with(b"a", EntryType::Link, b"/etc/shadow", b""), "not an earlier file"),
            (tar_with(b"a", EntryType::GNUSparse, b"", b""), "cannot hold"),
            (tar_with(b"a\nb", EntryType::Regular, b"", b""), "\"a\\nb\" contains a control character"),
            (
                tar_with(b"a", EntryType::Symlink, b"\x1b[2J", b""),
                "member a: its target \"\\x1b[2J\" contains a control character",
            ),
            (tar_with(b"a", EntryType::Symlink, "\u{202e}".as_bytes(), b""), "\"\\u{202e}\" contains a control"),
            (tar_with(b"a", EntryType::Symlink, b"b\xff", b""), "member a: its target \"b\\xff\" is not UTF-8"),
        ] {
            let error = read(&tar).expect_err("refused").to_string();
            assert!(error.contains(why), "{error}");
        }
        let cut = &tar_with(b"a", EntryType::Regular, b"", &[7; 2000])[..1024];
        assert!(matches!(read(cut), Err(ArchiveError::Read(_))));
    }

    #[test]
    fn an_archive_cannot_take_more_memory_than_real_ones() {
        let record = |value: &[u8]| {
            let length = value.len() + "SCHILY.xattr.user.a".len() + 3;
            let digits = (length + 6).to_string().len();
            let mut record = format!("{} SCHILY.xattr.user.a=", length + digits).into_bytes();
            record.extend_from_slice(value);
            record.push(b'\n');
            record
        };
        let one = |value: &[u8]| {
            let mut tar = tar_with(b"x", EntryType::XHeader, b"", &record(value));
            tar.extend(tar_with(b"a", EntryType::Directory, b"", b""));
            tar
        };
        let (index, _) = read(&one(&[7; 60_000])).expect("read");
        assert_eq!(index.members[0].xattrs["user.a"].len(), 60_000);
        let why = |tar: &[u8]| read(tar).expect_err("refused").to_string();
        assert!(why(&one(&[7; 70_000])).contains("64 KiB in an extended attribute of a"));
        assert!(why(&one(&[7; 60_000]).repeat(1200)).contains("64 MiB of names and attributes"));
        let (member, count) = (tar_with(b"usr/lib/systemd/system/a", EntryType::Regular, b"", &[7; 60_000]), 600);
        let mut content = io::sink();
        let tar = member.repeat(count);
        let index = read_archive(tar.as_slice(), &["usr/lib/systemd/system"], &mut content).expect("read");
        let inline = |member: &&Member| matches!(&member.kind, MemberKind::File { inline: Some(_), .. });
        let kept = index.members.iter().filter(inline).count();
        assert!((500..count).contains(&kept), "{kept}");
    }

    proptest! {
        #[test]
        fn mutated_archives_never_panic(at in 0..3000usize, byte: u8, cut in 0..3000usize) {
            let mut tar = tar_with(b"x", EntryType::XHeader, b"", b"30 SCHILY.xattr.user.a=0123456\n");
            tar.extend(tar_with(b"./usr/bin/su", EntryType::Regular, b"", b"setuid"));
            tar.extend(tar_with(b"./usr/bin/su2", EntryType::Link, b"./usr/bin/su", b""));
            if let Some(place) = tar.get_mut(at) {
                *place = byte;
            }
            tar.truncate(cut.max(512));
            let _ = read(&tar);
        }
    }
}
