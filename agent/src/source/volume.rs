//! Volumes that a platform attaches: NoCloud's (`cidata`) and OpenStack's config drive (`config-2`).

use super::{Found, Places, SourceError, device};
use crate::seed::MAX_SIZE;

/// cloud-init's NoCloud: `user-data` on a volume labelled `cidata`, FAT or ISO 9660.
pub(super) fn nocloud(places: &Places<'_>) -> Result<Option<Found>, SourceError> {
    read(places, "cidata", "user-data")
}

/// OpenStack's config drive.
pub(super) fn config_drive(places: &Places<'_>) -> Result<Option<Found>, SourceError> {
    read(places, "config-2", "openstack/latest/user_data")
}

fn read(places: &Places<'_>, label: &str, path: &str) -> Result<Option<Found>, SourceError> {
    let Some((device, mut volume)) = device::find(places.root, label) else { return Ok(None) };
    let failed = |source| SourceError::Volume { device: device.clone(), source };
    let bytes = volume.read(path, MAX_SIZE).map_err(failed)?;
    Ok(bytes.map(|bytes| Found { bytes, place: device }))
}
