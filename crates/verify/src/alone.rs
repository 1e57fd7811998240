//! The root file system alone: in an ext4 image, in a tar archive.

use super::report::{Check, Report};
use super::{OutputDir, Tree, records};
use kiln_image::blocks::Raw;
use kiln_image::ext4::Ext4Root;
use kiln_image::tarball::Tarball;
use kiln_image::{ImageRoot, ReadError};
use std::path::Path;
use std::sync::Arc;

/// The outputs and their checks.
const ROOTS: [(&str, &str); 2] = [("root.ext4", "ext4"), ("root.tar.zst", "tar")];

/// Whether `output` has such a root.
pub(super) fn is_there(output: OutputDir<'_>) -> bool {
    ROOTS.iter().any(|(name, _)| output.lists(name))
}

/// Checks them and returns the tree of one; searches it for secrets if `scanned`.
pub(super) fn check(output: OutputDir<'_>, mut scanned: bool, report: &mut Report) -> Option<Tree> {
    let mut first = None;
    for (name, check) in ROOTS.into_iter().filter(|(name, _)| output.lists(name)) {
        match open(&output.directory.join(name)).and_then(|root| Tree::read(&*root, scanned)) {
            Ok(tree) => {
                let findings = records::compare(&tree.listing, output.records_without_boot(), &[]);
                report.add(Check::new(check, format!("{name}: {} paths", tree.listing.paths.len()), findings));
                scanned = false;
                first.get_or_insert(tree);
            }
            Err(error) => report.failed(check, format!("{name}: {error}")),
        }
    }
    first
}

fn open(path: &Path) -> Result<Box<dyn ImageRoot>, ReadError> {
    if path.ends_with(ROOTS[0].0) {
        return Ok(Box::new(Ext4Root::new(Arc::new(Raw::open(path)?))));
    }
    Ok(Box::new(Tarball::new(path)))
}
