//! `kiln inspect`.

use super::units;
use crate::artifact::disk::{DiskRecord, PartitionRecord};
use crate::manifest::{self, FileRecord, Manifest};
use crate::verify::initramfs;
use anyhow::{Context, bail};
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Largest manifest read: a million files.
const MAX_MANIFEST: u64 = 512 << 20;

/// List what is in a baked image, or print one of its files
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  kiln inspect out/worker\n  kiln inspect out/worker /etc/containerd/config.toml\n  kiln inspect out/worker /usr/lib/systemd/system --json"
)]
pub struct Args {
    /// Output directory of a build
    #[arg(value_hint = clap::ValueHint::DirPath)]
    output: PathBuf,
    /// A file to print, or a directory to list
    path: Option<String>,
    /// Print records as JSON, one a line
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let manifest = read_manifest(&args.output)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let wanted = args.path.as_deref().unwrap_or("").trim_matches('/');
    let record = manifest.files.iter().find(|record| record.path.as_str() == wanted);
    match record {
        Some(record) if record.kind == "file" && !args.json => print_file(&args.output, record, &mut out)?,
        Some(record) if record.kind != "directory" => print_record(&mut out, record, args.json)?,
        None if !wanted.is_empty() => {
            let near = manifest
                .files
                .iter()
                .map(|record| record.path.as_str())
                .max_by(|a, b| strsim::jaro_winkler(a, wanted).total_cmp(&strsim::jaro_winkler(b, wanted)));
            bail!(
                "/{wanted} is not in {}; the nearest path is /{}; \"kiln inspect {}\" lists all",
                args.output.display(),
                near.unwrap_or(""),
                args.output.display()
            );
        }
        _ => {
            if let (true, false, Some(disk)) = (wanted.is_empty(), args.json, &manifest.disk) {
                print_disk(&mut out, &manifest, disk)?;
            }
            let prefix = if wanted.is_empty() { String::new() } else { format!("{wanted}/") };
            for record in &manifest.files {
                if record.path.as_str() == wanted || record.path.as_str().starts_with(&prefix) {
                    print_record(&mut out, record, args.json)?;
                }
            }
        }
    }
    out.flush()?;
    Ok(())
}

/// The manifest of the build in `output`.
pub fn read_manifest(output: &Path) -> anyhow::Result<Manifest> {
    let path = output.join(manifest::FILE);
    let size = fs::metadata(&path)
        .with_context(|| format!("reading {}; is {} the output of \"kiln build\"?", path.display(), output.display()))?
        .len();
    if size > MAX_MANIFEST {
        bail!("reading {}: it has {size} bytes; that is no manifest of kiln's", path.display());
    }
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| {
        format!("reading {}: it is damaged or of another version of kiln; build again", path.display())
    })
}

fn print_file(output: &Path, record: &FileRecord, out: &mut impl Write) -> anyhow::Result<()> {
    // The kernel is beside the initramfs, not in it.
    if record.path.as_str().starts_with("boot/vmlinuz-") {
        let path = output.join("pxe/vmlinuz");
        let mut kernel = fs::File::open(&path).with_context(|| format!("reading {}", path.display()))?;
        io::copy(&mut kernel, out)?;
        return Ok(());
    }
    let path = output.join("pxe/initramfs.cpio.zst");
    initramfs::extract(&path, record.path.as_str(), out).with_context(|| format!("reading {}", path.display()))
}

/// What the build made, and how its disk is divided.
fn print_disk(out: &mut impl Write, manifest: &Manifest, disk: &DiskRecord) -> io::Result<()> {
    for file in &manifest.outputs {
        writeln!(out, "{:>10}  {}", units::bytes(file.size), file.path)?;
    }
    if let Some(hash) = &manifest.root_hash {
        writeln!(out, "{:>10}  {hash}", "root hash")?;
    }
    for PartitionRecord { label, kind, uuid, start, size, read_only } in &disk.partitions {
        let access = if *read_only { "read-only" } else { "" };
        writeln!(out, "{:>10}  partition {uuid} at {start:<11} {label:<20} {kind} {access}", units::bytes(*size))?;
    }
    writeln!(out)
}

fn print_record(out: &mut impl Write, record: &FileRecord, json: bool) -> io::Result<()> {
    if json {
        return writeln!(out, "{}", serde_json::to_string(record).unwrap_or_default());
    }
    let kind = match record.kind.as_str() {
        "directory" => 'd',
        "symlink" => 'l',
        "char" => 'c',
        "block" => 'b',
        "fifo" => 'p',
        _ => '-',
    };
    let size = record.size.map_or_else(String::new, |size| size.to_string());
    let target = record.target.as_ref().map_or_else(String::new, |target| format!(" -> {target}"));
    writeln!(
        out,
        "{kind}{} {:>5}:{:<5} {size:>10} /{}{target}  [{}]",
        record.mode, record.uid, record.gid, record.path, record.origin
    )
}
