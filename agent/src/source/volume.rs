//! Volumes that a platform attaches: NoCloud's (`cidata`) and OpenStack's config drive
//! (`config-2`).
//!
//! Everybody whose disks the machine sees can give one of them such a label. All volumes of a label
//! are read, so that a decoy hides nothing; when two of them have different seeds, none is taken.

use super::{Found, Places, SourceError, asked, device};
use crate::root::RootDir;
use crate::seed::{self, MAX_SIZE, Seed};

/// The source's name, the label and the file of cloud-init's NoCloud.
const NOCLOUD: (&str, &str, &str) = (seed::NOCLOUD, "cidata", "user-data");
/// The same of OpenStack's config drive.
const CONFIG_DRIVE: (&str, &str, &str) = (seed::CONFIG_DRIVE, "config-2", "openstack/latest/user_data");

/// Label and file of the volumes that are asked on this machine.
pub(super) fn volumes(root: &RootDir) -> Vec<(&'static str, &'static str)> {
    let all = [NOCLOUD, CONFIG_DRIVE].into_iter();
    all.filter(|(key, ..)| is_asked(root, key)).map(|(_, label, path)| (label, path)).collect()
}

fn is_asked(root: &RootDir, key: &str) -> bool {
    asked(root).is_ok_and(|sources| sources.iter().any(|source| source.key == key))
}

pub(super) fn nocloud(places: &Places<'_>) -> Result<Option<Found>, SourceError> {
    let (_, label, path) = NOCLOUD;
    the_one(files(places.root, label, path, MAX_SIZE), |bytes| Seed::parse(bytes).is_ok())
}

pub(super) fn config_drive(places: &Places<'_>) -> Result<Option<Found>, SourceError> {
    let (_, label, path) = CONFIG_DRIVE;
    the_one(files(places.root, label, path, MAX_SIZE), |bytes| Seed::parse(bytes).is_ok())
}

/// Reads the file at `path` of the config drive, with at most `limit` bytes, if the machine may get
/// its seed from there.
pub(super) fn config_drive_file(root: &RootDir, path: &str, limit: usize) -> Result<Option<Found>, SourceError> {
    let (key, label, _) = CONFIG_DRIVE;
    if !is_asked(root, key) {
        return Ok(None);
    }
    the_one(files(root, label, path, limit).filter(Result::is_ok), |_| true)
}

/// The file at `path` of each volume with this label that has one.
fn files(root: &RootDir, label: &str, path: &str, limit: usize) -> impl Iterator<Item = Result<Found, SourceError>> {
    let read = move |(device, mut volume): (String, device::Volume)| match volume.read(path, limit) {
        Ok(bytes) => bytes.map(|bytes| Ok(Found { bytes, place: device })),
        Err(source) => Some(Err(SourceError::Volume { device, source })),
    };
    device::find(root, label).filter_map(read)
}

/// The one content that is `sound`. Without one, the first failure, or the first content, for an
/// error about it.
fn the_one(
    files: impl IntoIterator<Item = Result<Found, SourceError>>,
    sound: impl Fn(&[u8]) -> bool,
) -> Result<Option<Found>, SourceError> {
    let (mut one, mut other): (Option<Found>, Option<Result<Found, SourceError>>) = (None, None);
    for file in files {
        match (file, &one) {
            (Ok(found), None) if sound(&found.bytes) => one = Some(found),
            // A disk and its partition may begin with the same volume.
            (Ok(found), Some(one)) if sound(&found.bytes) && found.bytes != one.bytes => {
                return Err(SourceError::Several { first: one.place.clone(), second: found.place });
            }
            (file, _) => {
                other.get_or_insert(file);
            }
        }
    }
    one.map(Ok).or(other).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use zeroize::Zeroizing;

    fn found(device: &str, text: &str) -> Result<Found, SourceError> {
        Ok(Found { bytes: Zeroizing::new(text.as_bytes().to_vec()), place: device.into() })
    }

    fn damaged() -> Result<Found, SourceError> {
        Err(SourceError::Volume { device: "vda".into(), source: io::ErrorKind::UnexpectedEof.into() })
    }

    fn chosen(files: Vec<Result<Found, SourceError>>) -> Result<Option<String>, String> {
        let one = the_one(files, |bytes| bytes.starts_with(b"seed"));
        one.map(|found| found.map(|found| found.place)).map_err(|error| error.to_string())
    }

    #[test]
    fn decoys_do_not_hide_the_seed() {
        assert_eq!(
            chosen(vec![damaged(), found("vdb", "#cloud-config"), found("vdc", "seed")]),
            Ok(Some("vdc".into()))
        );
        assert_eq!(chosen(vec![found("vdb", "seed"), damaged(), found("vdd", "")]), Ok(Some("vdb".into())));
        assert_eq!(chosen(vec![found("sr0", "seed"), found("sr0p1", "seed")]), Ok(Some("sr0".into())));
        assert_eq!(chosen(Vec::new()), Ok(None));
    }

    #[test]
    fn of_two_seeds_none_is_taken() {
        let error = chosen(vec![found("vdb", "seed 1"), damaged(), found("vdc", "seed 2")]).expect_err("which one?");
        assert!(error.starts_with("vdb and vdc have different contents; detach"), "{error}");
    }

    #[test]
    fn without_a_seed_the_first_defect_is_reported() {
        assert_eq!(chosen(vec![found("vdb", "#cloud-config"), damaged()]), Ok(Some("vdb".into())));
        assert!(chosen(vec![damaged(), found("vdb", "")]).is_err_and(|error| error.starts_with("reading vda: ")));
    }
}
