//! Packages in the order in which they are unpacked, and the relations in their control files.

use super::BakeError;
use kiln_pack::Pack;
use kiln_pack::layer::{Packed, lay_packages};
use kiln_profile::{Arch, Diversion};
use kiln_source::deb::control;
use kiln_source::deb::dependency::Relations;
use kiln_tree::{Digest, FileTree};
use std::collections::BTreeMap;

/// One opened .deb.
#[derive(Debug, Clone, Copy)]
pub struct Deb<'a> {
    /// The package's name.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// Digest of the .deb.
    pub digest: Digest,
    /// The contents of the .deb.
    pub pack: &'a Pack,
    /// The image's architecture if the lock names the package, whose control file must then agree.
    /// An artifact has the name and version that the profile gives it.
    pub locked_for: Option<Arch>,
}

/// The fields of a control file that unpacking needs.
struct Control {
    essential: bool,
    /// Packages of the image whose files it may take over.
    replaces: Vec<String>,
}

/// Unpacks `debs`, given in any order: essential packages first, as every bootstrap of Debian does
/// (so base-files decides the modes of the directories that it shares with others), then the
/// others, each group by name.
///
/// # Errors
/// [`BakeError`] when a control file is malformed or packages conflict.
pub fn unpack(debs: Vec<Deb<'_>>, diversions: &[Diversion]) -> Result<FileTree, BakeError> {
    let versions: BTreeMap<&str, &str> = debs.iter().map(|deb| (deb.name, deb.version)).collect();
    let mut debs =
        debs.into_iter().map(|deb| Ok((control(&deb, &versions)?, deb))).collect::<Result<Vec<_>, BakeError>>()?;
    debs.sort_by_key(|(control, deb)| (!control.essential, deb.name));
    let packed: Vec<Packed<'_>> = debs
        .iter()
        .map(|(control, deb)| {
            let Deb { name, version, digest, pack, locked_for: _ } = *deb;
            Packed { name, version, digest, pack, replaces: &control.replaces }
        })
        .collect();
    Ok(lay_packages(&packed, diversions)?)
}

fn control(deb: &Deb<'_>, versions: &BTreeMap<&str, &str>) -> Result<Control, BakeError> {
    let malformed = |source| BakeError::Control { package: deb.name.to_owned(), source };
    let mut control = Control { essential: false, replaces: Vec::new() };
    let Some(paragraph) = control::Paragraphs::new(&deb.pack.index.control).next() else { return Ok(control) };
    let paragraph = paragraph.map_err(malformed)?;
    if let Some(arch) = deb.locked_for {
        is_what_the_lock_names(deb, arch, |field| paragraph.get(field).unwrap_or(""))?;
    }
    control.essential = paragraph.get("Essential") == Some("yes");
    for relation in Relations::new(paragraph.get("Replaces").unwrap_or("")) {
        let relation = relation.map_err(|source| BakeError::Replaces { package: deb.name.to_owned(), source })?;
        let holds =
            |version: &&str| relation.constraint.is_none_or(|(operator, wanted)| operator.holds(version, wanted));
        if versions.get(relation.name).is_some_and(holds) {
            control.replaces.push(relation.name.to_owned());
        }
    }
    Ok(control)
}

/// Compares a package with the lock's entry, which may have been edited: the manifest would otherwise
/// report a version that is not in the image.
fn is_what_the_lock_names<'a>(
    deb: &Deb<'_>,
    arch: Arch,
    field: impl Fn(&'static str) -> &'a str,
) -> Result<(), BakeError> {
    let (name, version, architecture) = (field("Package"), field("Version"), field("Architecture"));
    if (name, version) == (deb.name, deb.version) && [arch.as_str(), "all"].contains(&architecture) {
        return Ok(());
    }
    Err(BakeError::NotTheLocked {
        locked: format!("{} {} for {}", deb.name, deb.version, arch.as_str()),
        found: format!("{name:?} {version:?} for {architecture:?}"),
        digest: deb.digest,
    })
}
