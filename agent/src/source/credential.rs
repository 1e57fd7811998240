//! A systemd credential, systemd.system-credentials(7): from SMBIOS (type 11) or QEMU's fw_cfg,
//! passed to the service as a file.

use super::{Found, Places, SourceError};
use crate::root;
use zeroize::Zeroizing;

const NAME: &str = "kiln.seed";

pub(super) fn read(places: &Places<'_>) -> Result<Option<Found>, SourceError> {
    let Some(directory) = &places.credentials else { return Ok(None) };
    let text = root::read(&directory.join(NAME))?;
    Ok(text.map(|text| Found { bytes: Zeroizing::new(text.as_bytes().to_vec()), place: String::new() }))
}
