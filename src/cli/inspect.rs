//! `kiln inspect`.

use super::units;
use anyhow::{Context, bail};
use kiln_image::listing::{Listed, Listing};
use kiln_manifest::{DiskRecord, PartitionRecord};
use kiln_manifest::{FileRecord, Manifest};
use kiln_tree::Printable;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// List the contents of a baked image, or print one of its files
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  kiln inspect out/worker\n  kiln inspect out/worker /etc/containerd/config.toml\n  kiln inspect out/worker /usr/lib/systemd/system --json\n  kiln inspect out/worker/disk.qcow2 /etc/os-release"
)]
pub(super) struct InspectArgs {
    /// Output directory of a build, or an image: an initramfs, a disk in any format, a root file
    /// system
    #[arg(value_hint = clap::ValueHint::AnyPath)]
    output: PathBuf,
    /// A file to print, or a directory to list
    path: Option<String>,
    /// Print records as JSON, one a line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &InspectArgs) -> anyhow::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let wanted = args.path.as_deref().unwrap_or("").trim_matches('/');
    if args.output.is_file() {
        let reading = || format!("reading {}", args.output.display());
        let root = kiln_image::open(&args.output).with_context(reading)?;
        let listing = Listing::read(&*root, &mut |_, _| {}).with_context(reading)?;
        let lines: Vec<Line> = listing.paths.values().map(Line::from).collect();
        if print(&mut out, args, wanted, &lines)? {
            kiln_image::extract(&*root, wanted, &mut out).with_context(reading)?;
        }
    } else {
        let manifest = Manifest::read(&args.output)?;
        if let (true, false, Some(disk)) = (wanted.is_empty(), args.json, &manifest.disk) {
            print_disk(&mut out, &manifest, disk)?;
        }
        let lines: Vec<Line> = manifest.files.iter().map(Line::from).collect();
        if print(&mut out, args, wanted, &lines)? {
            print_file(&args.output, wanted, &mut out)?;
        }
    }
    out.flush()?;
    Ok(())
}

/// Lists `wanted` and everything below it; returns `true` instead when it is a file whose contents
/// are to be printed.
fn print(out: &mut impl Write, args: &InspectArgs, wanted: &str, lines: &[Line]) -> anyhow::Result<bool> {
    let found = lines.iter().find(|line| line.path == wanted);
    match found {
        Some(line) if line.kind == '-' && !args.json => return Ok(true),
        Some(line) if line.kind != 'd' => line.print(out, args.json)?,
        None if !wanted.is_empty() => {
            let near = kiln_suggest::most_alike(wanted, lines.iter().map(|line| line.path.as_str()));
            bail!(
                "/{} is not in {}; the nearest path is /{}; \"kiln inspect {}\" lists all paths",
                Printable::new(wanted),
                args.output.display(),
                Printable::new(near.unwrap_or_default()),
                args.output.display()
            );
        }
        _ => {
            let prefix = if wanted.is_empty() { String::new() } else { format!("{wanted}/") };
            for line in lines.iter().filter(|line| line.path == wanted || line.path.starts_with(&prefix)) {
                line.print(out, args.json)?;
            }
        }
    }
    Ok(false)
}

fn print_file(output: &Path, wanted: &str, out: &mut impl Write) -> anyhow::Result<()> {
    let reading = || format!("reading {}", output.display());
    let beside = output.join("pxe/vmlinuz");
    // The kernel is stored beside the root file system, not in it.
    if wanted.starts_with("boot/vmlinuz-") && beside.exists() {
        let mut kernel = kiln_file::open(&beside).with_context(reading)?;
        io::copy(&mut kernel, out)?;
        return Ok(());
    }
    let root = kiln_verify::open_output(output).with_context(reading)?;
    match root.kernel().filter(|_| wanted.starts_with("boot/vmlinuz-")) {
        Some(kernel) => Ok(out.write_all(&kernel)?),
        None => kiln_image::extract(&*root, wanted, out).with_context(reading),
    }
}

/// A line of the listing.
#[derive(Debug)]
struct Line {
    path: String,
    /// The type letter of ls(1).
    kind: char,
    /// The columns before the path.
    start: String,
    /// The printable text after the path.
    end: String,
    json: String,
}

impl Line {
    fn print(&self, out: &mut impl Write, json: bool) -> io::Result<()> {
        if json {
            writeln!(out, "{}", self.json)
        } else {
            writeln!(out, "{}{} /{}{}", self.kind, self.start, Printable::new(&self.path), self.end)
        }
    }

    fn new(
        path: &str,
        kind: &str,
        (mode, uid, gid): (&str, u32, u32),
        size: Option<u64>,
        target: Option<&str>,
    ) -> Self {
        let kind = match kind {
            "directory" => 'd',
            "symlink" => 'l',
            "char" => 'c',
            "block" => 'b',
            "fifo" => 'p',
            "socket" => 's',
            _ => '-',
        };
        let size = size.map_or_else(String::new, |size| size.to_string());
        let end = target.map_or_else(String::new, |target| format!(" -> {}", Printable::new(target)));
        Self {
            path: path.to_owned(),
            kind,
            start: format!("{} {uid:>5}:{gid:<5} {size:>10}", Printable::new(mode)),
            end,
            json: String::new(),
        }
    }
}

impl From<&FileRecord> for Line {
    fn from(record: &FileRecord) -> Self {
        let owner = (record.mode.as_str(), record.uid, record.gid);
        let line = Self::new(record.path.as_str(), &record.kind, owner, record.size, record.target.as_deref());
        let json = serde_json::to_string(record).unwrap_or_default();
        Self { end: format!("{}  [{}]", line.end, Printable::new(&record.origin.to_string())), json, ..line }
    }
}

/// Without the origin of the file, which an image does not contain.
impl From<&Listed> for Line {
    fn from(listed: &Listed) -> Self {
        let Listed { node, sha256, .. } = listed;
        let mode = format!("{:04o}", node.mode);
        let (kind, target) = (node.kind.name(), node.kind.target());
        let size = node.kind.size();
        let json = serde_json::json!({
            "path": node.path, "type": kind, "mode": mode, "uid": node.uid, "gid": node.gid, "mtime": node.mtime,
            "size": size, "sha256": sha256, "target": target, "xattrs": listed.xattrs_in_hex(),
        });
        let line = Self::new(&node.path, kind, (&mode, node.uid, node.gid), size, target.as_deref());
        Self { json: json.to_string(), ..line }
    }
}

/// Prints the outputs of the build and the partitions of its disk.
fn print_disk(out: &mut impl Write, manifest: &Manifest, disk: &DiskRecord) -> io::Result<()> {
    for file in &manifest.outputs {
        writeln!(out, "{:>10}  {}", units::bytes(file.size), Printable::new(&file.path))?;
    }
    if let Some(hash) = &manifest.root_hash {
        writeln!(out, "{:>10}  {hash}", "root hash")?;
    }
    for PartitionRecord { label, kind, uuid, start, size, read_only } in &disk.partitions {
        let access = if *read_only { "read-only" } else { "" };
        let (label, kind) = (Printable::new(label).to_string(), Printable::new(kind));
        writeln!(out, "{:>10}  partition {uuid} at {start:<11} {label:<20} {kind} {access}", units::bytes(*size))?;
    }
    writeln!(out)
}
