//! Reads the sections of a Unified Kernel Image (UAPI.5) with the `object` crate.

use super::ReadError;
use object::read::pe::PeFile64;
use object::{Object, ObjectSection};
use std::collections::BTreeMap;

/// The sections of `image` by name, with their sizes in memory: padding to the file's alignment is
/// left out.
///
/// # Errors
/// [`ReadError::Damaged`].
pub fn sections(image: &[u8]) -> Result<BTreeMap<String, &[u8]>, ReadError> {
    let damaged = |error: object::Error| ReadError::damaged(error.to_string());
    let file = PeFile64::parse(image).map_err(damaged)?;
    let mut sections = BTreeMap::new();
    for section in file.sections() {
        let name = section.name().map_err(damaged)?.to_owned();
        let data = section.data().map_err(damaged)?;
        let size = usize::try_from(section.size()).unwrap_or(usize::MAX).min(data.len());
        if sections.insert(name.clone(), &data[..size]).is_some() {
            return Err(ReadError::damaged(format!("it has two sections with the name {name:?}")));
        }
    }
    Ok(sections)
}
