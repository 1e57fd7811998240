//! The .deb container (deb(5)): an ar archive of `debian-binary`, `control.tar.*` and `data.tar.*`.

use super::compression::decompress;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Take};

/// The largest `control.tar` that is read: real ones have a few kilobytes, or a megabyte with many
/// md5sums.
const MAX_CONTROL_TAR: u64 = 32 << 20;
/// The largest `control` file.
const MAX_CONTROL: u64 = 1 << 20;
/// The magic of ar archives, and the size of their member headers.
const AR_MAGIC: &[u8; 8] = b"!<arch>\n";
const AR_HEADER: usize = 60;

/// Why a file is not a Debian package.
#[derive(Debug, thiserror::Error)]
pub enum DebError {
    /// Not an ar archive, or not in deb(5)'s order.
    #[error("not a Debian package: {0}")]
    Format(String),
    /// Reading or decompressing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// An opened .deb.
#[derive(Debug)]
pub struct DebFile<R> {
    file: R,
    control: Part,
    data: Part,
}

#[derive(Debug, Clone, Copy)]
struct Part {
    offset: u64,
    size: u64,
}

impl<R: Read + Seek + Send> DebFile<R> {
    /// Reads the container's table.
    ///
    /// # Errors
    /// [`DebError::Format`] unless it contains `debian-binary` 2.x, `control.tar*` and `data.tar*`
    /// in this order, as dpkg requires (members whose names start with `_` are skipped).
    pub fn new(mut file: R) -> Result<Self, DebError> {
        let bad = |why: &str| DebError::Format(why.to_owned());
        let end = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(0))?;
        let mut magic = [0; 8];
        file.read_exact(&mut magic).map_err(|_| bad("it is shorter than an ar archive"))?;
        if &magic != AR_MAGIC {
            return Err(bad("it does not begin with \"!<arch>\""));
        }
        let mut offset = AR_MAGIC.len() as u64;
        let mut parts = Vec::new();
        while parts.len() < 3 {
            let (name, part) = read_ar_header(&mut file, offset, end)?;
            match (parts.len(), name.as_str()) {
                (_, name) if name.starts_with('_') => {}
                (0, "debian-binary") => {
                    let mut version = String::new();
                    file.by_ref().take(part.size.min(16)).read_to_string(&mut version)?;
                    if !version.starts_with("2.") {
                        return Err(bad(&format!("its format version is {:?}, not 2.x", version.trim_end())));
                    }
                    parts.push(part);
                }
                (1, name) if name.starts_with("control.tar") => parts.push(part),
                (2, name) if name.starts_with("data.tar") => parts.push(part),
                (at, name) => {
                    let wanted = ["debian-binary", "control.tar", "data.tar"][at];
                    return Err(DebError::Format(format!("it has the member {name:?} in the place of {wanted}")));
                }
            }
            offset = part.offset + part.size + part.size % 2;
        }
        Ok(Self { file, control: parts[1], data: parts[2] })
    }

    /// The `control` file's text.
    ///
    /// # Errors
    /// [`DebError`], also when it is missing, too large or not UTF-8.
    pub fn control(&mut self) -> Result<String, DebError> {
        let part = self.control;
        let tar = decompress(BufReader::new(self.part(part)?), 1)?;
        let mut archive = tar::Archive::new(tar.take(MAX_CONTROL_TAR));
        // Raw entries: a long-name extension could otherwise claim any amount of memory.
        for entry in archive.entries()?.raw(true) {
            let entry = entry?;
            let name = entry.path_bytes();
            if matches!(&*name, b"control" | b"./control") {
                let mut text = String::new();
                entry.take(MAX_CONTROL).read_to_string(&mut text)?;
                return Ok(text);
            }
        }
        Err(DebError::Format("its control.tar has no control file".into()))
    }

    /// `data.tar` as stored, and its size.
    ///
    /// # Errors
    /// Those of seeking.
    pub fn data(&mut self) -> io::Result<(Take<&mut R>, u64)> {
        let part = self.data;
        Ok((self.part(part)?, part.size))
    }

    fn part(&mut self, part: Part) -> io::Result<Take<&mut R>> {
        self.file.seek(SeekFrom::Start(part.offset))?;
        Ok(self.file.by_ref().take(part.size))
    }
}

/// Reads the ar header at `offset` and leaves `file` at the member's first byte.
fn read_ar_header(file: &mut (impl Read + Seek), offset: u64, end: u64) -> Result<(String, Part), DebError> {
    let bad = |why: &str| DebError::Format(format!("{why} at byte {offset}"));
    file.seek(SeekFrom::Start(offset))?;
    let mut header = [0; AR_HEADER];
    file.read_exact(&mut header).map_err(|_| bad("it ends before its data.tar: it is truncated"))?;
    if &header[58..] != b"`\n" {
        return Err(bad("a member's header is broken"));
    }
    let field = |range: std::ops::Range<usize>| std::str::from_utf8(&header[range]).unwrap_or("").trim_end();
    let name = field(0..16).trim_end_matches('/').to_owned();
    let size: u64 = field(48..58).parse().map_err(|_| bad("a member's size is not a number"))?;
    let part = Part { offset: offset + AR_HEADER as u64, size };
    if part.offset.checked_add(size).is_none_or(|last| last > end) {
        return Err(bad("a member is longer than the file: it is truncated"));
    }
    Ok((name, part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut out = AR_MAGIC.to_vec();
        for (name, data) in members {
            out.extend_from_slice(
                format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, data.len()).as_bytes(),
            );
            out.extend_from_slice(data);
            out.resize(out.len().next_multiple_of(2), b'\n');
        }
        out
    }

    fn control_tar(text: &str) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, "./control", text.as_bytes()).expect("appended");
        tar.into_inner().expect("finished")
    }

    #[test]
    fn parts_are_found_in_the_order_that_dpkg_requires() {
        let control = control_tar("Package: a\n");
        let good = ar(&[("debian-binary", b"2.0\n"), ("_x", b"?"), ("control.tar", &control), ("data.tar.xz", b"odd")]);
        let mut deb = DebFile::new(Cursor::new(&good)).expect("a package");
        assert_eq!(deb.control().expect("control"), "Package: a\n");
        let mut data = Vec::new();
        deb.data().expect("data").0.read_to_end(&mut data).expect("read");
        assert_eq!(data, b"odd");

        for (members, why) in [
            (vec![("debian-binary", &b"3.0\n"[..])], "version is \"3.0\""),
            (vec![("debian-binary", b"2.0\n"), ("data.tar.xz", b"")], "in the place of control.tar"),
            (vec![("debian-binary", b"2.0\n")], "truncated"),
        ] {
            let error = DebFile::new(Cursor::new(ar(&members))).expect_err("refused").to_string();
            assert!(error.contains(why), "{error}");
        }
        let error = DebFile::new(Cursor::new(&good[..good.len() - 3])).expect_err("refused").to_string();
        assert!(error.contains("truncated"), "{error}");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..400), keep in 0..200usize) {
            let mut good = ar(&[("debian-binary", b"2.0\n"), ("control.tar", &control_tar("x"))]);
            good.truncate(keep.max(8));
            good.append(&mut bytes);
            if let Ok(mut deb) = DebFile::new(Cursor::new(good)) {
                let _ = deb.control();
            }
        }
    }
}
