//! Makes the artifacts of a build, in an order that lets each use the previous ones.

use super::{BuildError, Means};
use kiln_artifact::cloud::{self, CloudError, Naming};
use kiln_artifact::disk::{Begun, Disk, DiskError, DiskSizes, digest_during, extract};
use kiln_artifact::platform::{self, Platform};
use kiln_artifact::pxe::Pxe;
use kiln_artifact::root::{Place, RootImage, RootOptions};
use kiln_artifact::{kernel, tar};
use kiln_bake::Baked;
use kiln_bake::lock::Locked;
use kiln_format::block::{BlockSource, RawFile};
use kiln_format::guid::Guid;
use kiln_manifest::{DiskRecord, OutputFile};
use kiln_profile::{Arch, Holds, Output, Profile, RootFormat};
use kiln_progress::{Phase, Unit};
use kiln_tree::{Digest, FileTree};
use std::fs::File;
use std::ops::Range;
use std::path::Path;

/// The file with the hash tree of the root file system, for veritysetup(8).
const VERITY: &str = "root.verity";
/// The file with the root hash, named as systemd-dissect(1) expects.
const ROOT_HASH: &str = "root.roothash";

/// The artifacts that were made.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// Files, by path.
    pub files: Vec<OutputFile>,
    /// The dm-verity root hash, if there is a root file system.
    pub root_hash: Option<Digest>,
    /// The disk, if there is one.
    pub disk: Option<DiskRecord>,
}

/// The inputs of every artifact.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outputs<'a> {
    /// Profile and lock.
    pub locked: &'a Locked,
    /// The finished tree.
    pub baked: &'a Baked,
    /// The facilities of the build.
    pub means: Means<'a>,
    /// The directory for the artifacts.
    pub directory: &'a Path,
}

/// The outputs that a profile requests, grouped by how they are made.
#[derive(Debug, Default)]
struct Wanted {
    pxe: bool,
    /// The formats of the disk.
    disks: Vec<Output>,
    ext4: bool,
    tar: bool,
}

impl Wanted {
    fn of(profile: &Profile) -> Self {
        let mut wanted = Self::default();
        for output in &profile.outputs {
            match output.holds() {
                Holds::PxeSet => wanted.pxe = true,
                Holds::Disk => wanted.disks.push(*output),
                Holds::Root(RootFormat::Ext4) => wanted.ext4 = true,
                Holds::Root(RootFormat::Tar) => wanted.tar = true,
            }
        }
        wanted
    }
}

impl Outputs<'_> {
    /// Makes the outputs that the profile requests.
    ///
    /// # Errors
    /// [`BuildError`].
    pub(super) fn make(&self) -> Result<Made, BuildError> {
        let wanted = Wanted::of(self.profile());
        let mut made = Made::default();
        if wanted.pxe {
            made.files.extend(self.pxe()?);
        }
        if !wanted.disks.is_empty() {
            self.disk(&wanted, &mut made)?;
        } else if wanted.ext4 {
            self.root(&mut made)?;
        }
        if wanted.ext4
            && let Some(hash) = made.root_hash
        {
            // As text, for tools that mount the root without the disk.
            made.files.push(self.put(ROOT_HASH, format!("{hash}\n").as_bytes())?);
        }
        if wanted.tar {
            made.files.push(self.tar()?);
        }
        made.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(made)
    }

    fn profile(&self) -> &Profile {
        self.locked.profile()
    }

    fn pxe(&self) -> Result<Vec<OutputFile>, BuildError> {
        let phase = self.means.progress.phase("compress", Unit::Bytes, 0);
        let boot_entries = kiln_render::initramfs_entries(self.profile().arch, &self.baked.tree)?;
        let pxe = Pxe {
            tree: &self.baked.tree,
            store: &self.baked.store,
            cache: self.means.cache(),
            epoch: self.locked.lock().epoch,
            cmdline: &self.profile().kernel.cmdline,
            boot_entries: &boot_entries,
            threads: self.means.threads,
        };
        let files = pxe.write(&self.directory.join("pxe"), &|bytes| phase.inc(bytes))?;
        phase.finish();
        Ok(files)
    }

    fn tar(&self) -> Result<OutputFile, BuildError> {
        let root = kernel::root_tree(&self.baked.tree);
        let bytes = root.iter().filter_map(|(_, entry)| entry.content()).map(|content| content.size).sum();
        let phase = self.means.progress.phase("tar", Unit::Bytes, bytes);
        let (epoch, threads) = (self.locked.lock().epoch, self.means.threads);
        let file = tar::write(&root, &self.baked.store, epoch, self.directory, threads, &|bytes| phase.inc(bytes))?;
        phase.finish();
        Ok(file)
    }

    /// Writes the disk once, then the artifacts made from it; the disk is an unnamed file when only
    /// those are requested.
    fn disk(&self, wanted: &Wanted, made: &mut Made) -> Result<(), BuildError> {
        let name = Output::Disk.file();
        let path = self.directory.join(name);
        let failed = |source| DiskError::Write { path: path.clone(), source };
        let keep = wanted.disks.contains(&Output::Disk);
        let file = if keep { self.create(name)? } else { tempfile::tempfile_in(self.directory).map_err(failed)? };
        let tree = kernel::root_tree(&self.baked.tree);
        let root = RootImage::plan(&tree, &self.root_options())?;
        let phase = self.means.progress.phase("disk", Unit::Bytes, root.size());
        let Begun { disk, guid, record, root_hash, places } = self.begin_disk(&file, &path, &root)?;
        made.root_hash = Some(root_hash);
        made.disk = Some(record);
        let place = Place { file: &file, path: &path, offset: places[0].start };
        let (sha256, (parts, encoded)) = self.write_root(&root, place, &disk, phase, || {
            let parts = [Output::Ext4.file(), VERITY].into_iter().zip(&places).filter(|_| wanted.ext4);
            let parts = parts.map(|(name, place)| self.extract(&disk, name, place)).collect::<Result<Vec<_>, _>>()?;
            Ok((parts, self.encode(&wanted.disks, &disk, &guid)?))
        })?;
        made.files.extend(parts);
        if keep {
            made.files.push(OutputFile { path: name.to_owned(), size: disk.size(), sha256, content: None });
        }
        let compressed = |path: &str| wanted.disks.iter().any(|disk| disk.is_compressed() && disk.file() == path);
        made.files.extend(encoded.into_iter().map(|file| match compressed(&file.path) {
            true => OutputFile { content: Some(sha256), ..file },
            false => file,
        }));
        Ok(())
    }

    /// Writes `disk` in each of `formats` except raw, its own format.
    fn encode(&self, formats: &[Output], disk: &dyn BlockSource, guid: &Guid) -> Result<Vec<OutputFile>, CloudError> {
        let name = &self.profile().role;
        let naming = Naming { name, uuid: *guid.as_bytes(), epoch: self.locked.lock().epoch };
        let data = disk.data().iter().map(|range| range.end - range.start).sum();
        let mut files = Vec::new();
        for format in formats.iter().filter(|format| format.is_encoding()) {
            let phase = self.means.progress.phase(format.as_str(), Unit::Bytes, data);
            let inc = |bytes| phase.inc(bytes);
            files.extend(cloud::encode(*format, disk, &naming, self.directory, self.means.threads, &inc)?);
            phase.finish();
        }
        Ok(files)
    }

    /// Copies the range `part` of `disk` to the file `name`.
    fn extract(&self, disk: &dyn BlockSource, name: &str, part: &Range<u64>) -> Result<OutputFile, BuildError> {
        let file = self.create(name)?;
        let failed = |source| DiskError::Write { path: self.directory.join(name), source };
        let sha256 = extract(disk, part, &file).map_err(failed)?;
        Ok(OutputFile { path: name.to_owned(), size: part.end - part.start, sha256, content: None })
    }

    /// Writes the root file system and its hash tree, without a disk.
    fn root(&self, made: &mut Made) -> Result<(), BuildError> {
        let name = Output::Ext4.file();
        let path = self.directory.join(name);
        let failed = |source| DiskError::Write { path: path.clone(), source };
        let tree = kernel::root_tree(&self.baked.tree);
        let root = RootImage::plan(&tree, &self.root_options())?;
        let size = root.size();
        let phase = self.means.progress.phase("root", Unit::Bytes, size);
        let hashes = root.hash_tree(&self.baked.store)?;
        made.root_hash = Some(hashes.root.into());
        made.files.push(self.put(VERITY, &hashes.bytes)?);
        let file = self.create(name)?;
        file.set_len(size).map_err(failed)?;
        let disk = RawFile::new(file.try_clone().map_err(failed)?, size, root.data());
        let place = Place { file: &file, path: &path, offset: 0 };
        let (sha256, ()) = self.write_root(&root, place, &disk, phase, || Ok(()))?;
        made.files.push(OutputFile { path: name.to_owned(), size, sha256, content: None });
        Ok(())
    }

    /// Writes `root` to its place on `disk`, which is otherwise complete, and then runs `work`;
    /// computes the digest of `disk` in parallel with both.
    fn write_root<T>(
        &self,
        root: &RootImage<'_>,
        place: Place<'_>,
        disk: &RawFile,
        phase: Phase,
        work: impl FnOnce() -> Result<T, BuildError>,
    ) -> Result<(Digest, T), BuildError> {
        let (sha256, done) = digest_during(disk, |front| {
            root.write(&self.baked.store, place, &|range| {
                phase.inc(range.end - range.start);
                front.reached(place.offset + range.end);
            })?;
            drop(front);
            phase.finish();
            work()
        });
        // A failed write is reported first: it also makes reading fail.
        let done = done?;
        Ok((sha256.map_err(|source| DiskError::Write { path: place.path.to_owned(), source })?, done))
    }

    /// Writes a small file of the output.
    fn put(&self, name: &str, bytes: &[u8]) -> Result<OutputFile, DiskError> {
        let path = self.directory.join(name);
        std::fs::write(&path, bytes).map_err(|source| DiskError::Write { path, source })?;
        Ok(OutputFile { path: name.to_owned(), size: bytes.len() as u64, sha256: Digest::of(bytes), content: None })
    }

    fn root_options(&self) -> RootOptions<'_> {
        let profile = self.profile();
        RootOptions {
            file_system: profile.root,
            image: (&profile.image.id, &profile.image.version),
            epoch: self.locked.lock().epoch,
            size: None,
        }
    }

    /// Creates a file of the output, open for reading and writing.
    fn create(&self, name: &str) -> Result<File, DiskError> {
        let path = self.directory.join(name);
        let file = File::options().read(true).write(true).create_new(true).open(&path);
        file.map_err(|source| DiskError::Write { path, source })
    }

    fn begin_disk(&self, file: &File, path: &Path, root: &RootImage<'_>) -> Result<Begun, BuildError> {
        let (profile, tree) = (self.profile(), &self.baked.tree);
        let mut initrd = FileTree::new();
        for (path, entry) in kiln_render::disk_initrd_entries(profile.arch, tree, &root.superblock())? {
            initrd.insert(path, entry)?;
        }
        let disk = Disk {
            tree,
            initrd: &initrd,
            store: &self.baked.store,
            cache: self.means.cache(),
            epoch: self.locked.lock().epoch,
            image: (&profile.image.id, &profile.image.version),
            cmdline: &profile.kernel.cmdline,
            sizes: DiskSizes { esp: profile.disk.esp_size, slot: profile.disk.root_size, disk: profile.disk.size },
            platform: platform(profile.arch),
            threads: self.means.threads,
        };
        Ok(disk.begin(file, path, root)?)
    }
}

fn platform(arch: Arch) -> &'static Platform {
    match arch {
        Arch::Amd64 => &platform::AMD64,
        Arch::Arm64 => &platform::ARM64,
    }
}
