//! Checks the disk and all its encodings.

use super::report::{Check, Report};
use super::verity::{Recomputed, recompute};
use super::{OutputDir, Tree, records};
use kiln_image::blocks::{Blocks, Part, bytes};
use kiln_image::disk::Disk;
use kiln_image::ext4::Ext4Root;
use kiln_image::gpt::Table;
use kiln_image::initramfs::Initramfs;
use kiln_image::verity::Superblock;
use kiln_image::{ReadError, open_disk, uki};
use kiln_manifest::DiskRecord;
use kiln_profile::Output;
use kiln_tree::Digest;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::iter;
use std::sync::Arc;

/// The label of the root file system.
const LABEL: &str = "kiln-root";
/// The prefix of the boot loader's path in the tree.
const LOADER: &str = "usr/lib/systemd/boot/efi/systemd-boot";
/// The number of bytes read at a time.
const CHUNK: u64 = 1 << 20;
/// The largest disk whose bytes are compared, which is the largest that a profile can ask for; an
/// encoding of a few megabytes can claim terabytes of zeros.
const MAX_DISK: u64 = kiln_profile::MAX_DISK_SIZE;
/// The most zeros after the disk: formats pad to a gibibyte at most.
const MAX_PADDING: u64 = 1 << 30;

/// The trees that were read from a disk.
#[derive(Debug, Default)]
pub(super) struct Trees {
    /// The root file system.
    pub root: Option<Tree>,
    /// The initrd, which finds, verifies and mounts the root.
    pub initrd: Option<Tree>,
}

/// Checks the disk in all its formats, `disks`; searches its root for secrets if `scanned`.
pub(super) fn check(output: OutputDir<'_>, disks: &[Output], scanned: bool, report: &mut Report) -> Trees {
    let opened: Vec<Opened> =
        disks.iter().map(|kind| (*kind, open_disk(&output.directory.join(kind.file())))).collect();
    encodings(output, &opened, report);
    let Some((name, blocks)) = opened.into_iter().find_map(|(kind, blocks)| Some((kind.file(), blocks.ok()?))) else {
        return Trees::default();
    };
    // A format may pad a disk; the disk ends at its backup table.
    let size = output.manifest.disk.as_ref().map_or(blocks.size(), |disk| disk.size);
    let disk = match Part::new(blocks, 0, size).and_then(|blocks| Disk::open(Arc::new(blocks))) {
        Ok(disk) => disk,
        Err(error) => {
            report.failed("gpt", format!("{name}: {error}"));
            return Trees::default();
        }
    };
    gpt(output, name, &disk, report);
    verity(output, &disk, report);
    let initrd = boot(output, &disk, report);
    reserved(&disk, report);
    Trees { root: root(output, &disk, scanned, report), initrd }
}

/// A disk, and its bytes or the error.
type Opened = (Output, Result<Arc<dyn Blocks>, ReadError>);

/// Checks that all encodings contain the same disk.
fn encodings(output: OutputDir<'_>, opened: &[Opened], report: &mut Report) {
    let mut findings = Vec::new();
    let promised = |kind: Output| {
        let file = output.manifest.outputs.iter().find(|file| file.path == kind.file())?;
        // The raw disk's own bytes were compared already.
        if kind == Output::Disk { Some(file.sha256) } else { file.content }
    };
    let wanted = opened.iter().find_map(|(kind, _)| promised(*kind));
    let size = output.manifest.disk.as_ref().map_or(0, |disk| disk.size);
    for (kind, blocks) in opened {
        let name = kind.file();
        let found = match blocks {
            Ok(_) if *kind == Output::Disk => continue,
            Ok(blocks) => digest(&**blocks, size),
            Err(error) => {
                findings.push(format!("{name}: {error}"));
                continue;
            }
        };
        match found {
            Ok(found)
                if promised(*kind).is_none_or(|digest| digest == found)
                    && wanted.is_none_or(|wanted| wanted == found) => {}
            Ok(found) => findings.push(format!("{name} contains a different disk, with the sha256 {found}")),
            Err(error) => findings.push(format!("{name}: {error}")),
        }
    }
    let names: Vec<&str> = opened.iter().map(|(kind, _)| kind.file()).collect();
    report.add(Check::new("disks", format!("{} of {size} bytes", names.join(", ")), findings));
}

/// The SHA-256 of the first `size` bytes; some formats pad with zeros, and only zeros may follow.
fn digest(blocks: &dyn Blocks, size: u64) -> Result<Digest, ReadError> {
    if size > MAX_DISK || blocks.size() > size.saturating_add(MAX_PADDING) {
        let why = format!("it claims {} bytes for a disk of {size} bytes", blocks.size());
        return Err(ReadError::Damaged(std::io::Error::other(why)));
    }
    let mut hasher = Sha256::new();
    let mut offset = 0;
    while offset < blocks.size().max(size) {
        let part = bytes(blocks, offset, CHUNK.min(blocks.size().saturating_sub(offset)).max(1))?;
        let within = usize::try_from(size.saturating_sub(offset)).map_or(part.len(), |left| left.min(part.len()));
        hasher.update(&part[..within]);
        if part[within..].iter().any(|byte| *byte != 0) {
            return Err(ReadError::Damaged(std::io::Error::other("it contains something after the disk's end")));
        }
        offset += part.len() as u64;
    }
    Ok(Digest::finish(hasher))
}

/// Compares both partition tables with each other and with the manifest.
fn gpt(output: OutputDir<'_>, name: &str, disk: &Disk, report: &mut Report) {
    let mut findings = Vec::new();
    for table in [Table::primary(&*disk.blocks), Table::backup(&*disk.blocks)] {
        match table {
            Ok(table) if table == disk.table => {}
            Ok(_) => findings.push("the partition tables at its beginning and its end differ".to_owned()),
            Err(error) => findings.push(error.to_string()),
        }
    }
    let mut by_place: Vec<_> = disk.table.partitions.iter().collect();
    by_place.sort_by_key(|partition| partition.start);
    for pair in by_place.windows(2).filter(|pair| pair[0].start + pair[0].size > pair[1].start) {
        findings.push(format!("partitions {:?} and {:?} overlap", pair[0].name, pair[1].name));
    }
    match &output.manifest.disk {
        Some(record) => findings.extend(differences(&disk.table, record)),
        None => findings.push("the manifest does not describe it".to_owned()),
    }
    let what = format!("{name}: {} partitions in two tables", disk.table.partitions.len());
    report.add(Check::new("gpt", what, findings));
}

/// Differences between a table and the manifest.
fn differences(table: &Table, record: &DiskRecord) -> Vec<String> {
    let line = |name: &str, kind: &str, uuid: &str, start: u64, size: u64| {
        format!("partition {name:?} {uuid} of type {kind} at {start}, {size} bytes")
    };
    let found = table.partitions.iter().map(|found| {
        line(&found.name, &found.type_guid.to_string(), &found.unique_guid.to_string(), found.start, found.size)
    });
    let found: Vec<String> = iter::once(format!("disk {}", table.disk_guid)).chain(found).collect();
    let wanted = (record.partitions.iter()).map(|it| line(&it.label, &it.kind, &it.uuid, it.start, it.size));
    let wanted: Vec<String> = iter::once(format!("disk {}", record.uuid)).chain(wanted).collect();
    let missing = wanted.iter().filter(|line| !found.contains(line)).map(|line| format!("it has no {line}"));
    let strange = found.iter().filter(|line| !wanted.contains(line)).map(|line| format!("it has an unexpected {line}"));
    missing.chain(strange).collect()
}

/// Checks the hash tree: the data, the partitions' GUIDs and the manifest must have the same root
/// hash.
fn verity(output: OutputDir<'_>, disk: &Disk, report: &mut Report) {
    let computed = || -> Result<(Recomputed, Superblock, String), ReadError> {
        let (data, hashes) = (disk.root()?, disk.verity()?);
        let superblock = Superblock::read(&hashes)?;
        let (first, second) = disk.root_guids()?;
        let guids = format!("{first}{second}").replace('-', "");
        Ok((recompute(&data, &hashes, &superblock)?, superblock, guids))
    };
    let (computed, superblock, guids) = match computed() {
        Ok(computed) => computed,
        Err(error) => {
            report.failed("verity", error);
            return;
        }
    };
    let hash = Digest::from(computed.root_hash).to_string();
    let mut findings = computed.wrong;
    if guids != hash {
        findings.push(format!("the root hash is {hash}, but the partitions' GUIDs give {guids}"));
    }
    if output.manifest.root_hash.map(String::from).as_deref() != Some(&hash) {
        findings.push(format!("the root hash is {hash}, which is not the one in the manifest"));
    }
    let what = format!("{} blocks verified by {}, root hash {hash}", superblock.data_blocks, computed.blocks);
    report.add(Check::new("verity", what, findings));
}

/// Checks the EFI system partition and the kernel image on it; returns the tree of its initrd.
fn boot(output: OutputDir<'_>, disk: &Disk, report: &mut Report) -> Option<Tree> {
    let boot = match disk.boot() {
        Ok(boot) => boot,
        Err(error) => {
            report.failed("esp", error);
            return None;
        }
    };
    let digests: BTreeMap<&str, Digest> =
        (output.manifest.files.iter()).filter_map(|record| Some((record.path.as_str(), record.sha256?))).collect();
    let mut findings = Vec::new();
    if !boot.tables_agree {
        findings.push("the copies of its file allocation table differ".to_owned());
    }
    for (path, loader) in &boot.loaders {
        let digest = Digest::of(loader);
        if !digests.iter().any(|(path, known)| path.starts_with(LOADER) && *known == digest) {
            findings.push(format!("/{path} is not a boot loader of the tree ({LOADER}*.efi)"));
        }
    }
    if boot.loaders.len() != 2 {
        findings.push(format!("it has {} boot loaders, but should have one under two names", boot.loaders.len()));
    }
    report.add(Check::new("esp", format!("{} files, boot loader and {}", boot.files, boot.uki_path), findings));

    let sections = match uki::sections(&boot.uki) {
        Ok(sections) => sections,
        Err(error) => {
            report.failed("uki", format!("{}: {error}", boot.uki_path));
            return None;
        }
    };
    let mut findings = Vec::new();
    let section = |name: &str| sections.get(name).copied().unwrap_or_default();
    let text = |name: &str| String::from_utf8_lossy(section(name)).trim_end_matches(['\0', '\n']).to_owned();
    let kernel = format!("boot/vmlinuz-{}", output.manifest.kernel);
    for (name, path) in [(".linux", kernel.as_str()), (".osrel", "usr/lib/os-release")] {
        if digests.get(path) != Some(&Digest::of(section(name))) {
            findings.push(format!("its section {name} is not /{path}"));
        }
    }
    if text(".uname") != output.manifest.kernel {
        findings.push(format!("its section .uname is {:?}, not {:?}", text(".uname"), output.manifest.kernel));
    }
    let cmdline = text(".cmdline");
    // The check "verity" compares this with the hash of the data.
    let hash = output.manifest.root_hash.map(String::from).unwrap_or_default();
    let wanted = output.manifest.disk.as_ref().map_or("", |disk| disk.cmdline.as_str());
    if cmdline != wanted {
        findings.push(format!("its command line is {cmdline:?}, but should be {wanted:?}"));
    }
    let hashes: Vec<&str> = cmdline.split_whitespace().filter_map(|word| word.strip_prefix("roothash=")).collect();
    if hashes != [hash.as_str()] {
        findings.push(format!("its command line names the root hashes {hashes:?}, but should name {hash}"));
    }
    if !cmdline.starts_with(&output.manifest.cmdline) {
        findings.push(format!("its command line does not begin with the profile's, {:?}", output.manifest.cmdline));
    }
    let initrd = match Tree::read(&Initramfs::of_bytes(section(".initrd")), true) {
        Ok(initrd) => Some(initrd),
        Err(error) => {
            findings.push(format!("its initrd: {error}"));
            None
        }
    };
    let paths = initrd.as_ref().map_or(0, |initrd| initrd.listing.paths.len());
    report.add(Check::new("uki", format!("kernel, os-release, {cmdline:?}, initrd of {paths} paths"), findings));
    initrd
}

/// Checks that the partitions of the next version are empty.
fn reserved(disk: &Disk, report: &mut Report) {
    let mut findings = Vec::new();
    let mut total = 0;
    for partition in disk.reserved() {
        total += partition.size;
        let zero = disk.part(partition).and_then(|part| is_zero(&part));
        match zero {
            Ok(true) => {}
            Ok(false) => findings.push(format!("the partition at {} is not empty", partition.start)),
            Err(error) => findings.push(error.to_string()),
        }
    }
    report.add(Check::new("reserved", format!("{total} bytes for the next version are empty"), findings));
}

fn is_zero(blocks: &dyn Blocks) -> Result<bool, ReadError> {
    let mut offset = 0;
    while offset < blocks.size() {
        let part = bytes(blocks, offset, CHUNK.min(blocks.size() - offset))?;
        if part.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        offset += part.len() as u64;
    }
    Ok(true)
}

/// Compares the root file system path by path.
fn root(output: OutputDir<'_>, disk: &Disk, scanned: bool, report: &mut Report) -> Option<Tree> {
    let read = || -> Result<(Tree, String), ReadError> {
        let root = Ext4Root::new(Arc::new(disk.root()?));
        Ok((Tree::read(&root, scanned)?, root.label()?))
    };
    match read() {
        Ok((tree, label)) => {
            let mut findings = records::compare(&tree.listing, output.records_without_boot(), &[]);
            if label != LABEL {
                findings.push(format!("its label is {label:?}, but should be {LABEL:?}"));
            }
            let what = format!("{} paths, their bytes, modes, owners, times and attributes", tree.listing.paths.len());
            report.add(Check::new("root", what, findings));
            Some(tree)
        }
        Err(error) => {
            report.failed("root", error);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    /// A disk without data of any size.
    #[derive(Debug)]
    struct Holes(u64);

    impl Blocks for Holes {
        fn size(&self) -> u64 {
            self.0
        }

        fn read_at(&self, buffer: &mut [u8], _: u64) -> io::Result<()> {
            buffer.fill(0);
            Ok(())
        }
    }

    #[test]
    fn terabytes_of_zeros_are_not_hashed() {
        assert!(digest(&Holes(5 << 20), 3 << 20).is_ok(), "padded");
        for (claimed, size) in [(4 << 40, 4 << 40), (4 << 40, 3 << 20), (u64::MAX, 0), (u64::MAX, u64::MAX)] {
            let error = digest(&Holes(claimed), size).expect_err("refused").to_string();
            assert!(error.contains(&format!("it claims {claimed} bytes for a disk of {size} bytes")), "{error}");
        }
    }
}
