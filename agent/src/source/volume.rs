//! Volumes that a platform attaches: NoCloud's (`cidata`) and OpenStack's config drive
//! (`config-2`).

use super::{Found, Places, SourceError, device};
use crate::root::RootDir;
use crate::seed::MAX_SIZE;

/// The label and the file of cloud-init's NoCloud.
const NOCLOUD: (&str, &str) = ("cidata", "user-data");
/// The label and the file of OpenStack's config drive.
const CONFIG_DRIVE: (&str, &str) = ("config-2", "openstack/latest/user_data");
/// All volumes.
pub(super) const VOLUMES: [(&str, &str); 2] = [NOCLOUD, CONFIG_DRIVE];

pub(super) fn nocloud(places: &Places<'_>) -> Result<Option<Found>, SourceError> {
    read(places, NOCLOUD)
}

pub(super) fn config_drive(places: &Places<'_>) -> Result<Option<Found>, SourceError> {
    read(places, CONFIG_DRIVE)
}

fn read(places: &Places<'_>, (label, path): (&str, &str)) -> Result<Option<Found>, SourceError> {
    file(places.root, label, path, MAX_SIZE)
}

/// Reads the file at `path` of the config drive, with at most `limit` bytes.
pub(super) fn config_drive_file(root: &RootDir, path: &str, limit: usize) -> Result<Option<Found>, SourceError> {
    file(root, CONFIG_DRIVE.0, path, limit)
}

fn file(root: &RootDir, label: &str, path: &str, limit: usize) -> Result<Option<Found>, SourceError> {
    let Some((device, mut volume)) = device::find(root, label) else { return Ok(None) };
    let failed = |source| SourceError::Volume { device: device.clone(), source };
    let bytes = volume.read(path, limit).map_err(failed)?;
    Ok(bytes.map(|bytes| Found { bytes, place: device }))
}
