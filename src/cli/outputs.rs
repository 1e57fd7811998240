//! Which artifacts a build makes, and in what order: each from what is there already.

use super::host::Host;
use kiln_artifact::cloud::{self, Naming};
use kiln_artifact::disk::{Begun, Disk, DiskError, DiskSizes, digest_during, extract};
use kiln_artifact::platform::{self, Platform};
use kiln_artifact::pxe::Pxe;
use kiln_artifact::root::{Place, Root, RootFileSystem, RootOptions};
use kiln_artifact::{kernel, tar};
use kiln_bake::Baked;
use kiln_bake::lock::Locked;
use kiln_cache::Cache;
use kiln_format::block::{BlockSource, RawFile};
use kiln_format::guid::Guid;
use kiln_manifest::{DiskRecord, OutputFile};
use kiln_profile::{Arch, Output, Profile};
use kiln_progress::{Phase, Unit};
use kiln_tree::{Digest, FileTree};
use std::fs::File;
use std::ops::Range;
use std::path::Path;

/// The raw disk.
const DISK: &str = "disk.raw";
/// The root file system alone, and its hash tree for veritysetup(8).
const ROOT: &str = "root.ext4";
const VERITY: &str = "root.verity";
/// The root hash, as systemd-dissect(1) calls such a file.
const ROOT_HASH: &str = "root.roothash";

/// What was made.
#[derive(Debug, Default)]
pub struct Made {
    /// Files, by path.
    pub files: Vec<OutputFile>,
    /// dm-verity's root hash, if there is a root file system.
    pub root_hash: Option<Digest>,
    /// The disk, if there is one.
    pub disk: Option<DiskRecord>,
}

/// What every artifact is made from.
#[derive(Debug, Clone, Copy)]
pub struct Outputs<'a> {
    /// This machine.
    pub host: &'a Host,
    /// Profile and lock.
    pub locked: &'a Locked,
    /// The finished tree.
    pub baked: &'a Baked,
    /// What was made before.
    pub cache: &'a Cache,
    /// Where artifacts go.
    pub directory: &'a Path,
}

impl Outputs<'_> {
    /// Makes what the profile asks for.
    pub fn make(&self) -> anyhow::Result<Made> {
        let wanted = &self.profile().outputs;
        let mut made = Made::default();
        if wanted.contains(&Output::Pxe) {
            made.files.extend(self.pxe()?);
        }
        let disks: Vec<Option<cloud::Kind>> = wanted.iter().filter_map(|output| disk_kind(*output)).collect();
        if !disks.is_empty() {
            self.disk(&disks, &mut made)?;
        }
        if disks.is_empty() && wanted.contains(&Output::Ext4) {
            self.root(&mut made)?;
        }
        if wanted.contains(&Output::Ext4)
            && let Some(hash) = made.root_hash
        {
            // As text, for what mounts the root alone.
            made.files.push(self.put(ROOT_HASH, format!("{hash}\n").as_bytes())?);
        }
        if wanted.contains(&Output::Tar) {
            made.files.push(self.tar()?);
        }
        made.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(made)
    }

    fn profile(&self) -> &Profile {
        self.locked.profile()
    }

    fn pxe(&self) -> anyhow::Result<Vec<OutputFile>> {
        let phase = self.host.progress.phase("compress", Unit::Bytes, 0);
        let boot_entries = kiln_render::initramfs_entries(self.profile().arch, &self.baked.tree)?;
        let pxe = Pxe {
            tree: &self.baked.tree,
            store: &self.baked.store,
            cache: self.cache,
            epoch: self.locked.lock().epoch,
            cmdline: &self.profile().kernel.cmdline,
            boot_entries: &boot_entries,
            threads: self.host.threads,
        };
        let files = pxe.write(&self.directory.join("pxe"), &|bytes| phase.inc(bytes))?;
        phase.finish();
        Ok(files)
    }

    fn tar(&self) -> anyhow::Result<OutputFile> {
        let root = kernel::root_tree(&self.baked.tree);
        let bytes = root.iter().filter_map(|(_, entry)| entry.content()).map(|content| content.size).sum();
        let phase = self.host.progress.phase("tar", Unit::Bytes, bytes);
        let (epoch, threads) = (self.locked.lock().epoch, self.host.threads);
        let file = tar::write(&root, &self.baked.store, epoch, self.directory, threads, &|bytes| phase.inc(bytes))?;
        phase.finish();
        Ok(file)
    }

    /// Writes the disk once, then what is made of it; without a name when only that is wanted.
    fn disk(&self, kinds: &[Option<cloud::Kind>], made: &mut Made) -> anyhow::Result<()> {
        let path = self.directory.join(DISK);
        let failed = |source| DiskError::Write { path: path.clone(), source };
        let keep = kinds.contains(&None);
        let file = if keep { self.create(DISK)? } else { tempfile::tempfile_in(self.directory).map_err(failed)? };
        let tree = kernel::root_tree(&self.baked.tree);
        let root = Root::plan(&tree, &self.root_options())?;
        let phase = self.host.progress.phase("disk", Unit::Bytes, root.size());
        let Begun { disk, guid, record, root_hash, places } = self.begin_disk(&file, &path, &root)?;
        made.root_hash = Some(root_hash);
        made.disk = Some(record);
        let place = Place { file: &file, path: &path, offset: places[0].start };
        let (sha256, (parts, encoded)) = self.write_root(&root, place, &disk, phase, || {
            let wanted = self.profile().outputs.contains(&Output::Ext4);
            let parts = [ROOT, VERITY].into_iter().zip(&places).filter(|_| wanted);
            let parts = parts.map(|(name, place)| self.extract(&disk, name, place)).collect::<Result<Vec<_>, _>>()?;
            Ok((parts, self.encode(kinds, &disk, &guid)?))
        })?;
        made.files.extend(parts);
        if keep {
            made.files.push(OutputFile { path: DISK.to_owned(), size: disk.size(), sha256, content: None });
        }
        let compressed = |path: &str| kinds.iter().flatten().any(|kind| kind.is_compressed() && kind.file() == path);
        made.files.extend(encoded.into_iter().map(|file| match compressed(&file.path) {
            true => OutputFile { content: Some(sha256), ..file },
            false => file,
        }));
        Ok(())
    }

    /// Writes `disk` in each of the formats.
    fn encode(
        &self,
        kinds: &[Option<cloud::Kind>],
        disk: &dyn BlockSource,
        guid: &Guid,
    ) -> anyhow::Result<Vec<OutputFile>> {
        let name = &self.profile().role;
        let naming = Naming { name, uuid: *guid.as_bytes(), epoch: self.locked.lock().epoch };
        let data = disk.data().iter().map(|range| range.end - range.start).sum();
        let mut files = Vec::new();
        for kind in kinds.iter().flatten() {
            let phase = self.host.progress.phase(kind.name(), Unit::Bytes, data);
            let inc = |bytes| phase.inc(bytes);
            files.extend(cloud::encode(*kind, disk, &naming, self.directory, self.host.threads, &inc)?);
            phase.finish();
        }
        Ok(files)
    }

    /// Copies a part of `disk` to the file `name`.
    fn extract(&self, disk: &dyn BlockSource, name: &str, part: &Range<u64>) -> anyhow::Result<OutputFile> {
        let file = self.create(name)?;
        let failed = |source| DiskError::Write { path: self.directory.join(name), source };
        let sha256 = extract(disk, part, &file).map_err(failed)?;
        Ok(OutputFile { path: name.to_owned(), size: part.end - part.start, sha256, content: None })
    }

    /// Writes the root alone, and its hash tree.
    fn root(&self, made: &mut Made) -> anyhow::Result<()> {
        let path = self.directory.join(ROOT);
        let failed = |source| DiskError::Write { path: path.clone(), source };
        let tree = kernel::root_tree(&self.baked.tree);
        let root = Root::plan(&tree, &self.root_options())?;
        let size = root.size();
        let phase = self.host.progress.phase("root", Unit::Bytes, size);
        let hashes = root.hash_tree(&self.baked.store)?;
        made.root_hash = Some(hashes.root.into());
        made.files.push(self.put(VERITY, &hashes.bytes)?);
        let file = self.create(ROOT)?;
        file.set_len(size).map_err(failed)?;
        let disk = RawFile::new(file.try_clone().map_err(failed)?, size, root.data());
        let place = Place { file: &file, path: &path, offset: 0 };
        let (sha256, ()) = self.write_root(&root, place, &disk, phase, || Ok(()))?;
        made.files.push(OutputFile { path: ROOT.to_owned(), size, sha256, content: None });
        Ok(())
    }

    /// Writes `root` to its place on `disk`, which nothing else is missing on, and does `work` with that; the digest of `disk` is
    /// taken beside both.
    fn write_root<T>(
        &self,
        root: &Root<'_>,
        place: Place<'_>,
        disk: &RawFile,
        phase: Phase,
        work: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<(Digest, T)> {
        let (sha256, done) = digest_during(disk, |front| {
            root.write(&self.baked.store, place, &|range| {
                phase.inc(range.end - range.start);
                front.reached(place.offset + range.end);
            })?;
            drop(front);
            phase.finish();
            work()
        });
        // Why it was not written comes first: then it cannot be read either.
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
            file_system: match profile.root {
                kiln_profile::RootFileSystem::Ext4 => RootFileSystem::Ext4,
            },
            image: (&profile.image.id, &profile.image.version),
            epoch: self.locked.lock().epoch,
            size: None,
        }
    }

    /// A new file of the output, to be read again.
    fn create(&self, name: &str) -> Result<File, DiskError> {
        let path = self.directory.join(name);
        let file = File::options().read(true).write(true).create_new(true).open(&path);
        file.map_err(|source| DiskError::Write { path, source })
    }

    fn begin_disk(&self, file: &File, path: &Path, root: &Root<'_>) -> anyhow::Result<Begun> {
        let (profile, tree) = (self.profile(), &self.baked.tree);
        let mut initrd = FileTree::new();
        for (path, entry) in kiln_render::disk_initrd_entries(profile.arch, tree, &root.superblock())? {
            initrd.insert(path, entry)?;
        }
        let disk = Disk {
            tree,
            initrd: &initrd,
            store: &self.baked.store,
            cache: self.cache,
            epoch: self.locked.lock().epoch,
            image: (&profile.image.id, &profile.image.version),
            cmdline: &profile.kernel.cmdline,
            sizes: DiskSizes { esp: profile.disk.esp_size, slot: profile.disk.root_size, disk: profile.disk.size },
            platform: platform(profile.arch),
            threads: self.host.threads,
        };
        Ok(disk.begin(file, path, root)?)
    }
}

/// Whether `output` is a disk, and in which format: `None` is the raw one.
fn disk_kind(output: Output) -> Option<Option<cloud::Kind>> {
    match output {
        Output::Disk => Some(None),
        Output::Qcow2 => Some(Some(cloud::Kind::Qcow2)),
        Output::Qcow2Zlib => Some(Some(cloud::Kind::Qcow2Zlib)),
        Output::Vhd => Some(Some(cloud::Kind::Vhd)),
        Output::Vmdk => Some(Some(cloud::Kind::Vmdk)),
        Output::Gce => Some(Some(cloud::Kind::Gce)),
        Output::Pxe | Output::Ext4 | Output::Tar => None,
    }
}

fn platform(arch: Arch) -> &'static Platform {
    match arch {
        Arch::Amd64 => &platform::AMD64,
        Arch::Arm64 => &platform::ARM64,
    }
}
