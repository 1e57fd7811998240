//! Checks whether an output directory matches its manifest and is fit to be rolled out.
//!
//! Artifacts are read by [`kiln_image`], never by the code that wrote them.

mod alone;
pub mod diff;
mod disk;
mod listing;
mod names;
mod permissions;
mod production;
mod pxe;
mod records;
mod report;
mod secrets;
mod sums;
pub mod verity;

pub use report::{Check, Report};

use kiln_image::ReadError;
use kiln_image::listing::Listing;
use kiln_image::{ImageRoot, Node};
use kiln_manifest::{FileRecord, Manifest};
use kiln_profile::{Holds, Output, RootFormat};
use secrets::{Finding, Scanner};
use std::collections::BTreeSet;
use std::path::Path;

/// What is accepted in an output although a check finds it.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    /// Paths that may be set-user-ID or set-group-ID or have capabilities, in addition to those that
    /// kiln knows and the profile names.
    pub privileged: BTreeSet<String>,
    /// Paths that may contain what looks like a secret.
    pub secrets: BTreeSet<String>,
    /// Overlays that are not for production.
    pub debug: bool,
}

/// The output that is checked.
#[derive(Debug, Clone, Copy)]
struct OutputDir<'a> {
    directory: &'a Path,
    manifest: &'a Manifest,
}

/// Runs every check on the output in `directory`, and accepts what is `allowed`.
pub fn verify(directory: &Path, allowed: &Allowed) -> Report {
    let mut report = Report::default();
    let manifest = match Manifest::read(directory) {
        Ok(manifest) => manifest,
        Err(error) => {
            report.failed("manifest", error.to_string());
            return report;
        }
    };
    listing::check(&manifest, &mut report);
    sums::check(directory, &manifest, &mut report);
    production::check(&manifest, allowed, &mut report);
    let output = OutputDir { directory, manifest: &manifest };
    let Made { pxe, disks, roots } = output.made();
    let in_ram = pxe.then(|| pxe::check(output, &mut report)).flatten();
    let on_disk = match disks.is_empty() {
        false => disk::check(output, &disks, in_ram.is_none(), &mut report),
        true => disk::Trees::default(),
    };
    let scanned = in_ram.is_none() && on_disk.root.is_none();
    let alone = alone::check(output, &roots, scanned, &mut report);
    // All roots contain the same files, or the checks of their listings have failed, so one root
    // with its initrd is searched.
    match in_ram.or(on_disk.root).or(alone) {
        Some(mut tree) => {
            if let Some(initrd) = on_disk.initrd {
                tree.absorb(initrd, "initrd");
            }
            let by_profile = manifest.privileged.keys().map(|path| path.as_str().to_owned());
            let privileged = allowed.privileged.iter().cloned().chain(by_profile).collect();
            tree.judge(&Allowed { privileged, ..allowed.clone() }, &mut report);
        }
        None => report.failed("secrets", "there is no root file system that can be searched"),
    }
    report
}

/// Opens the root file system in the output directory `directory`: of several outputs, the one that
/// is read fastest.
///
/// # Errors
/// [`ReadError`] when there is none.
pub fn open_output(directory: &Path) -> Result<Box<dyn ImageRoot>, ReadError> {
    let mut paths = Output::fastest_first().into_iter().map(|output| directory.join(output.file()));
    let there = paths.find(|path| path.exists());
    kiln_image::open(&there.unwrap_or_else(|| directory.join(Output::Pxe.file())))
}

/// The outputs that the manifest lists, by the check that judges them; the one that is read fastest
/// comes first.
#[derive(Debug, Default)]
struct Made {
    pxe: bool,
    disks: Vec<Output>,
    roots: Vec<(Output, RootFormat)>,
}

impl OutputDir<'_> {
    /// Whether the manifest lists this output.
    fn lists(&self, path: &str) -> bool {
        self.manifest.outputs.iter().any(|output| output.path == path)
    }

    /// Assigns every output that the manifest lists to the check of its contents.
    fn made(&self) -> Made {
        let mut made = Made { pxe: self.has("pxe/"), ..Made::default() };
        for output in Output::fastest_first().into_iter().filter(|output| self.lists(output.file())) {
            match output.holds() {
                Holds::PxeSet => made.pxe = true,
                Holds::Disk => made.disks.push(output),
                Holds::Root(format) => made.roots.push((output, format)),
            }
        }
        made
    }

    /// The records of a root: what boots it is stored elsewhere, and its `/boot` is empty.
    fn records_without_boot(&self) -> impl Iterator<Item = &FileRecord> {
        self.manifest.files.iter().filter(|record| !record.path.as_str().starts_with("boot/"))
    }

    /// Whether the manifest lists an output whose path starts with `prefix`.
    fn has(&self, prefix: &str) -> bool {
        self.manifest.outputs.iter().any(|output| output.path.starts_with(prefix))
    }
}

/// A root file system, read once.
#[derive(Debug)]
struct Tree {
    listing: Listing,
    secrets: Vec<Finding>,
}

impl Tree {
    /// Reads `root` and searches it for secrets if `scanned`.
    fn read(root: &dyn ImageRoot, scanned: bool) -> Result<Self, ReadError> {
        let mut scanner = Scanner::new();
        let listing = Listing::read(root, &mut |node: &Node, part| {
            if scanned {
                scanner.scan(&node.path, part);
            }
        })?;
        Ok(Self { listing, secrets: scanner.finish() })
    }

    /// Adds the contents of `other` with `prefix` before its paths.
    fn absorb(&mut self, other: Self, prefix: &str) {
        let within = |finding: Finding| Finding { path: format!("{prefix}:/{}", finding.path), ..finding };
        self.secrets.extend(other.secrets.into_iter().map(within));
        let paths = other.listing.paths.into_iter().map(|(path, listed)| (format!("{prefix}:/{path}"), listed));
        self.listing.paths.extend(paths);
    }

    /// Runs the checks that need no manifest.
    fn judge(&self, allowed: &Allowed, report: &mut Report) {
        let paths = self.listing.paths.len();
        let unexpected = self.secrets.iter().filter(|finding| !allowed.secrets.contains(&finding.path));
        let findings = unexpected.map(|Finding { path, what }| format!("/{path} {what}")).collect();
        report.add(Check::new("secrets", format!("no key, token or password in {paths} paths"), findings));
        names::check(&self.listing, report);
        permissions::check(&self.listing, &allowed.privileged, report);
    }
}
