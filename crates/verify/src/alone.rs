//! The root file system alone: in an ext4 image, in a tar archive.

use super::report::{Check, Report};
use super::{OutputDir, Tree, records};
use kiln_image::blocks::Raw;
use kiln_image::ext4::Ext4Root;
use kiln_image::tarball::Tarball;
use kiln_image::{ImageRoot, ReadError};
use kiln_profile::{Output, RootFormat};
use std::path::Path;
use std::sync::Arc;

/// Checks `roots` and returns the tree of one; searches it for secrets if `scanned`.
pub(super) fn check(
    output: OutputDir<'_>,
    roots: &[(Output, RootFormat)],
    mut scanned: bool,
    report: &mut Report,
) -> Option<Tree> {
    let mut first = None;
    for (kind, format) in roots {
        let (name, check) = (kind.file(), kind.as_str());
        match open(*format, &output.directory.join(name)).and_then(|root| Tree::read(&*root, scanned)) {
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

fn open(format: RootFormat, path: &Path) -> Result<Box<dyn ImageRoot>, ReadError> {
    Ok(match format {
        RootFormat::Ext4 => Box::new(Ext4Root::new(Arc::new(Raw::open(path)?))),
        RootFormat::Tar => Box::new(Tarball::new(path)),
    })
}
