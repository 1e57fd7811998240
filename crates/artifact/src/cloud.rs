//! Writes a disk in the formats that clouds and hypervisors accept.

use super::{OutputFile, remedy};
use kiln_format::block::{BlockSource, EncodeError};
use kiln_format::qcow2::Compression;
use kiln_format::{gce, ovf, qcow2, vhd, vmdk};
use kiln_profile::Output;
use kiln_tree::Digest;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// The number of bytes written and read at a time.
const BUFFER: usize = 1 << 20;

/// The properties of a disk besides its bytes that the formats store. They are derived from the
/// build's inputs, so equal inputs give equal bytes.
#[derive(Debug, Clone, Copy)]
pub struct Naming<'a> {
    /// The initial name of a machine made from the disk: the role.
    pub name: &'a str,
    /// The disk's id, such as the GUID of its GPT. VHD stores all of it, VMDK the first four bytes.
    pub uuid: [u8; 16],
    /// The image's time, in seconds since 1970.
    pub epoch: u32,
}

/// Why a disk cannot be written in a format.
#[derive(Debug, thiserror::Error)]
pub enum CloudError {
    /// The disk cannot be read or the format cannot hold it.
    #[error("making {path}: {source}")]
    Encode {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: EncodeError,
    },
    /// The output cannot be written.
    #[error("writing {path}: {source}{}", remedy(source))]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// Writes `disk` as `output` to the directory `directory` in up to `threads` threads; the bytes do
/// not depend on their number. `made` is called with the number of bytes of each finished part of
/// the disk: in total the bytes of its data, and up to a mebibyte more around each range of data.
/// Writes nothing for an output that is not in [`Output::encodings`].
///
/// VHD is padded with zeros to whole mebibytes, Compute Engine's archive to whole gibibytes. VMDK
/// comes with `disk.ovf`, which describes a machine with the disk, and `disk.mf` with the digests
/// of both. An OVA is a tar archive of these three files in this order:
/// `tar --format=ustar -cf disk.ova disk.ovf disk.mf disk.vmdk`.
///
/// # Errors
/// [`CloudError`].
pub fn encode(
    output: Output,
    disk: &dyn BlockSource,
    naming: &Naming<'_>,
    directory: &Path,
    threads: usize,
    made: &(dyn Fn(u64) + Sync),
) -> Result<Vec<OutputFile>, CloudError> {
    let begin = || OutputWriter::create(directory, output.file());
    let Naming { uuid, epoch, .. } = *naming;
    let as_qcow2 = |compression| begin()?.fill(|file| qcow2::write(disk, compression, file, threads, made));
    let written = match output {
        Output::Qcow2 => as_qcow2(Compression::Zstd)?,
        Output::Qcow2Zlib => as_qcow2(Compression::Zlib)?,
        Output::Vhd => begin()?.fill(|file| vhd::write(disk, vhd::Identity { uuid, epoch }, file, made))?,
        Output::Vmdk => {
            let identity = (output.file(), content_id(&uuid));
            let written = begin()?.stream(|out| vmdk::write(disk, identity, out, threads, made))?;
            return package(written, vmdk::padded(disk.size()), naming, directory);
        }
        Output::Gce => begin()?.stream(|out| gce::write(disk, epoch, out, threads, made))?,
        Output::Pxe | Output::Disk | Output::Ext4 | Output::Tar => return Ok(Vec::new()),
    };
    Ok(vec![written])
}

/// The first four bytes of a UUID as a VMDK's content id, two values of which are reserved.
fn content_id(uuid: &[u8; 16]) -> u32 {
    let id = u32::from_be_bytes([uuid[0], uuid[1], uuid[2], uuid[3]]);
    // 0xffffffff means "no parent", and VMware uses 0xfffffffe for a new disk.
    if id >= 0xffff_fffe { id - 2 } else { id }
}

/// Writes the OVF descriptor and the manifest for `disk`, a VMDK.
fn package(
    disk: OutputFile,
    capacity: u64,
    naming: &Naming<'_>,
    directory: &Path,
) -> Result<Vec<OutputFile>, CloudError> {
    let machine = ovf::Machine { name: naming.name, disk: &disk.path, file_size: disk.size, capacity };
    let descriptor = text(directory, "disk.ovf", &ovf::descriptor(machine))?;
    let digests = [&descriptor, &disk].map(|file| (file.path.as_str(), file.sha256.to_string()));
    let manifest = text(directory, "disk.mf", &ovf::manifest(&digests))?;
    Ok(vec![manifest, descriptor, disk])
}

/// Writes `text` to the file `name`.
fn text(directory: &Path, name: &str, text: &str) -> Result<OutputFile, CloudError> {
    let path = directory.join(name);
    std::fs::write(&path, text).map_err(|source| CloudError::Write { path, source })?;
    Ok(OutputFile {
        path: name.to_owned(),
        size: text.len() as u64,
        sha256: Digest::of(text.as_bytes()),
        content: None,
    })
}

/// A file that is being written.
struct OutputWriter {
    name: &'static str,
    path: PathBuf,
    file: File,
}

impl OutputWriter {
    fn create(directory: &Path, name: &'static str) -> Result<Self, CloudError> {
        let path = directory.join(name);
        // Readable, because its digest is computed later.
        let created = File::options().read(true).write(true).create(true).truncate(true).open(&path);
        match created {
            Ok(file) => Ok(Self { name, path, file }),
            Err(source) => Err(CloudError::Write { path, source }),
        }
    }

    fn failed(&self, error: EncodeError) -> CloudError {
        let path = self.path.clone();
        match error {
            EncodeError::Write(source) => CloudError::Write { path, source },
            source => CloudError::Encode { path, source },
        }
    }

    fn fill(self, write: impl FnOnce(&File) -> Result<(), EncodeError>) -> Result<OutputFile, CloudError> {
        write(&self.file).map_err(|error| self.failed(error))?;
        self.finish()
    }

    fn stream(self, write: impl FnOnce(&mut dyn Write) -> Result<(), EncodeError>) -> Result<OutputFile, CloudError> {
        let mut out = BufWriter::with_capacity(BUFFER, &self.file);
        let result = write(&mut out).and_then(|()| Ok(out.flush()?));
        drop(out);
        result.map_err(|error| self.failed(error))?;
        self.finish()
    }

    /// The file's size and digest: it is read back from the page cache, which takes less than a
    /// tenth of the compression time.
    fn finish(self) -> Result<OutputFile, CloudError> {
        let digest = || {
            let mut file = &self.file;
            file.rewind()?;
            let (mut hasher, mut size) = (Sha256::new(), 0);
            let mut buffer = vec![0; BUFFER];
            loop {
                let len = file.read(&mut buffer)?;
                if len == 0 {
                    return Ok((size, Digest::finish(hasher)));
                }
                hasher.update(&buffer[..len]);
                size += len as u64;
            }
        };
        match digest() {
            Ok((size, sha256)) => Ok(OutputFile { path: self.name.to_owned(), size, sha256, content: None }),
            Err(source) => Err(CloudError::Write { path: self.path, source }),
        }
    }
}
