//! Which artifacts a build makes, and in what order: each from what is there already.

use super::host::Host;
use crate::artifact::cloud::{self, Naming};
use crate::artifact::disk::{Disk, DiskError, DiskRecord, DiskSizes, Written, digest, extract};
use crate::artifact::platform::{self, Platform};
use crate::artifact::pxe::Pxe;
use crate::artifact::root::{Place, Root, RootFileSystem, RootOptions};
use crate::artifact::{OutputFile, kernel, tar};
use crate::bake::Baked;
use crate::format::block::{BlockSource, RawFile};
use crate::lock::Locked;
use crate::profile::{self, Arch, Output, Profile};
use crate::progress::Unit;
use crate::render;
use crate::source::cache::Cache;
use crate::tree::{Digest, FileTree};
use std::fs::File;
use std::ops::Range;
use std::path::Path;

/// The raw disk.
const DISK: &str = "disk.raw";
/// The root file system alone, and its hash tree for veritysetup(8).
const ROOT: &str = "root.ext4";
const VERITY: &str = "root.verity";

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
        let boot_entries = render::initramfs_entries(self.profile().arch, &self.baked.tree)?;
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
        let Written { disk, guid, record, root, places } = self.write_disk(file, &path)?;
        made.root_hash = Some(root.hash);
        made.disk = Some(record);
        if self.profile().outputs.contains(&Output::Ext4) {
            made.files.extend(self.extract(&disk, &places)?);
        }

        let phase = self.host.progress.phase("hash", Unit::Bytes, disk.size());
        let sha256 = digest(&disk, &|bytes| phase.inc(bytes)).map_err(failed)?;
        phase.finish();
        if keep {
            made.files.push(OutputFile { path: DISK.to_owned(), size: disk.size(), sha256, content: None });
        }
        let naming = Naming {
            name: &self.profile().role,
            uuid: *guid.as_bytes(),
            epoch: self.locked.lock().epoch,
            content: Some(sha256),
        };
        for kind in kinds.iter().flatten() {
            let data = disk.data().iter().map(|range| range.end - range.start).sum();
            let phase = self.host.progress.phase(kind.name(), Unit::Bytes, data);
            let inc = |bytes| phase.inc(bytes);
            made.files.extend(cloud::encode(*kind, &disk, &naming, self.directory, self.host.threads, &inc)?);
            phase.finish();
        }
        Ok(())
    }

    /// Copies root and hash tree out of `disk`.
    fn extract(&self, disk: &dyn BlockSource, places: &[Range<u64>; 2]) -> anyhow::Result<Vec<OutputFile>> {
        let mut files = Vec::new();
        for (name, place) in [ROOT, VERITY].into_iter().zip(places) {
            let file = self.create(name)?;
            let failed = |source| DiskError::Write { path: self.directory.join(name), source };
            let sha256 = extract(disk, place, &file).map_err(failed)?;
            files.push(OutputFile { path: name.to_owned(), size: place.end - place.start, sha256, content: None });
        }
        Ok(files)
    }

    /// Writes the root alone.
    fn root(&self, made: &mut Made) -> anyhow::Result<()> {
        let path = self.directory.join(ROOT);
        let failed = |source| DiskError::Write { path: path.clone(), source };
        let file = tempfile::tempfile_in(self.directory).map_err(failed)?;
        let tree = kernel::root_tree(&self.baked.tree);
        let root = Root::plan(&tree, &self.root_options())?;
        let (size, end) = (root.size(), root.size() + root.verity_size());
        let phase = self.host.progress.phase("root", Unit::Bytes, end);
        file.set_len(end).map_err(failed)?;
        let place = |offset| Place { file: &file, path: &path, offset };
        let written = root.write(&self.baked.store, place(0), place(size), &|bytes| phase.inc(bytes))?;
        phase.finish();
        made.root_hash = Some(written.hash);
        made.files.extend(self.extract(&RawFile::new(file, end, written.data), &[0..size, size..end])?);
        Ok(())
    }

    fn root_options(&self) -> RootOptions<'_> {
        let profile = self.profile();
        RootOptions {
            file_system: match profile.root {
                profile::RootFileSystem::Ext4 => RootFileSystem::Ext4,
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

    fn write_disk(&self, file: File, path: &Path) -> anyhow::Result<Written> {
        let (profile, tree) = (self.profile(), &self.baked.tree);
        let mut initrd = FileTree::new();
        for (path, entry) in render::initramfs_entries(profile.arch, tree)? {
            initrd.insert(path, entry)?;
        }
        let root_tree = kernel::root_tree(tree);
        let root = Root::plan(&root_tree, &self.root_options())?;
        let phase = self.host.progress.phase("disk", Unit::Bytes, root.size());
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
        let written = disk.write(file, path, &root, &|bytes| phase.inc(bytes))?;
        phase.finish();
        Ok(written)
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
