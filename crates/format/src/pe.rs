//! Sections appended to a PE32+ image (Microsoft's "PE Format"): how a stub becomes a Unified
//! Kernel Image (<https://uapi-group.org/specifications/specs/unified_kernel_image/>).
//!
//! What follows the stub's last section — symbols, a signature — is removed: it would be neither
//! loaded nor valid any more.

use std::ops::Range;

/// `IMAGE_FILE_MACHINE_AMD64`.
pub const MACHINE_AMD64: u16 = 0x8664;
/// `IMAGE_FILE_MACHINE_ARM64`.
pub const MACHINE_ARM64: u16 = 0xaa64;

const PE32_PLUS: u16 = 0x20b;
const COFF_SIZE: usize = 20;
const SECTION_SIZE: usize = 40;
/// The limit of the Windows loader; no stub has nearly as many.
const MAX_SECTIONS: u16 = 96;
/// Each section is loaded to its own pages, whatever the stub's alignment is.
const PAGE: u64 = 4096;
/// `IMAGE_DIRECTORY_ENTRY_SECURITY`, the index of the signature in the data directories.
const SECURITY_DIRECTORY: usize = 4;
const SCN_CNT_CODE: u32 = 0x20;
const SCN_CNT_INITIALIZED_DATA: u32 = 0x40;
const SCN_MEM_READ: u32 = 0x4000_0000;

/// A section to append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section<'a> {
    /// Its name of at most eight bytes, such as `.linux`.
    pub name: &'a str,
    /// The size in bytes.
    pub size: u64,
    /// Whether it is executed in place: old stubs do so with the kernel.
    pub code: bool,
}

/// The extended image, without the new sections' contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Its first bytes: headers and the stub's sections.
    pub head: Vec<u8>,
    /// The byte range of each new section's content, in the given order. Gaps are zero.
    pub sections: Vec<Range<u64>>,
    /// The total size in bytes.
    pub size: u64,
}

/// Why sections cannot be appended.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PeError {
    /// The stub is not such an image.
    #[error("it is damaged or not a PE32+ image: {0}")]
    Damaged(&'static str),
    /// It is for another architecture.
    #[error("it is for machine type {found:#06x}, not {wanted:#06x}")]
    Machine {
        /// The machine type of the image.
        found: u16,
        /// The expected machine type.
        wanted: u16,
    },
    /// The headers have too little room.
    #[error("its headers have room for {room} more sections, but {wanted} must be added")]
    TooManySections {
        /// The number of entries that fit.
        room: usize,
        /// The number of entries needed.
        wanted: usize,
    },
    /// The section exists already.
    #[error("it already has a section {0}")]
    Duplicate(String),
    /// A name or the sum of sizes exceeds its field.
    #[error("section {0} does not fit: names have up to 8 bytes, an image less than 2 GiB")]
    TooLarge(String),
}

/// Plans the image that is `stub`, an image for `machine`, with `sections` appended.
///
/// # Errors
/// [`PeError`].
pub fn append(stub: &[u8], machine: u16, sections: &[Section<'_>]) -> Result<Plan, PeError> {
    let stub = Stub::parse(stub, machine)?;
    if stub.room < sections.len() {
        return Err(PeError::TooManySections { room: stub.room, wanted: sections.len() });
    }
    let mut head = stub.bytes[..stub.end].to_vec();
    let mut names = stub.names;
    let (mut at, mut address) = (stub.end as u64, stub.image_end);
    let (mut code, mut data) = (0, 0);
    let mut placed = Vec::new();
    let mut entry = stub.table_end;
    for section in sections {
        let too_large = || PeError::TooLarge(section.name.to_owned());
        let field = |value: u64| i32::try_from(value).ok().and_then(|it| u32::try_from(it).ok()).ok_or_else(too_large);
        if section.name.len() > 8 || section.name.is_empty() {
            return Err(too_large());
        }
        let mut name = [0; 8];
        name[..section.name.len()].copy_from_slice(section.name.as_bytes());
        if names.contains(&name) {
            return Err(PeError::Duplicate(section.name.to_owned()));
        }
        names.push(name);
        at = at.next_multiple_of(stub.file_alignment);
        address = address.next_multiple_of(stub.section_alignment.max(PAGE));
        let raw = field(section.size)?.checked_next_multiple_of(field(stub.file_alignment)?).ok_or_else(too_large)?;
        let flags = if section.code { SCN_CNT_CODE } else { SCN_CNT_INITIALIZED_DATA };
        *(if section.code { &mut code } else { &mut data }) += raw;
        let fields = [field(section.size)?, field(address)?, raw, field(at)?, 0, 0, 0, flags | SCN_MEM_READ];
        head[entry..entry + 8].copy_from_slice(&name);
        for (index, value) in fields.into_iter().enumerate() {
            put32(&mut head, entry + 8 + 4 * index, value);
        }
        entry += SECTION_SIZE;
        placed.push(at..at + section.size);
        (at, address) = (at + u64::from(raw), address + section.size);
        field(at.max(address.next_multiple_of(stub.section_alignment)))?;
    }
    let image_size = address.next_multiple_of(stub.section_alignment);
    let last = sections.last().map_or("", |section| section.name);
    stub.fields.update(
        &mut head,
        sections.len(),
        u32::try_from(image_size).map_err(|_| PeError::TooLarge(last.into()))?,
    );
    stub.fields.add(&mut head, code, data);
    Ok(Plan { head, sections: placed, size: at })
}

/// The parts of a stub that matter.
struct Stub<'a> {
    bytes: &'a [u8],
    fields: Fields,
    file_alignment: u64,
    section_alignment: u64,
    names: Vec<[u8; 8]>,
    /// The offset of the next entry of the section table.
    table_end: usize,
    /// The number of entries that fit there.
    room: usize,
    /// The end of the last section, in the file and in memory.
    end: usize,
    image_end: u64,
}

/// The offset of the headers in the file.
#[derive(Clone, Copy)]
struct Fields {
    coff: usize,
    optional: usize,
    directories: usize,
}

impl<'a> Stub<'a> {
    fn parse(bytes: &'a [u8], machine: u16) -> Result<Self, PeError> {
        let damaged = PeError::Damaged;
        if bytes.get(..2) != Some(b"MZ") {
            return Err(damaged("it does not begin with MZ"));
        }
        let truncated = || PeError::Damaged("it ends within its headers");
        let pe = get32(bytes, 0x3c).and_then(|at| usize::try_from(at).ok()).ok_or_else(truncated)?;
        let pe_end = pe.checked_add(4).ok_or_else(truncated)?;
        if bytes.get(pe..pe_end) != Some(b"PE\0\0") {
            return Err(damaged("it has no PE signature"));
        }
        let coff = pe_end;
        let read16 = |at: usize| get16(bytes, at).ok_or_else(truncated);
        let read32 = |at: usize| get32(bytes, at).ok_or_else(truncated);
        let found = read16(coff)?;
        if found != machine {
            return Err(PeError::Machine { found, wanted: machine });
        }
        let (count, optional_size) = (read16(coff + 2)?, usize::from(read16(coff + 16)?));
        let optional = coff + COFF_SIZE;
        if read16(optional)? != PE32_PLUS {
            return Err(damaged("its optional header is not PE32+"));
        }
        let (section_alignment, file_alignment) = (read32(optional + 32)?, read32(optional + 36)?);
        let headers = usize::try_from(read32(optional + 60)?).map_err(|_| truncated())?;
        let directories = usize::try_from(read32(optional + 108)?).map_err(|_| truncated())?;
        let good = |alignment: u32| alignment.is_power_of_two() && (512..=65536).contains(&alignment);
        if !good(file_alignment) || !section_alignment.is_power_of_two() || section_alignment < file_alignment {
            return Err(damaged("its alignments are invalid"));
        }
        if directories > 16 || optional_size < 112 + 8 * directories || count == 0 || count > MAX_SECTIONS {
            return Err(damaged("its headers contradict each other"));
        }
        let table = optional + optional_size;
        let table_end = table + usize::from(count) * SECTION_SIZE;
        let mut this = Self {
            bytes,
            fields: Fields { coff, optional, directories },
            file_alignment: u64::from(file_alignment),
            section_alignment: u64::from(section_alignment),
            names: Vec::new(),
            table_end,
            room: 0,
            end: headers,
            image_end: 0,
        };
        // The table may grow up to the first section.
        let mut limit = headers.min(bytes.len());
        for entry in (table..table_end).step_by(SECTION_SIZE) {
            let name = bytes.get(entry..entry + 8).and_then(|name| name.try_into().ok()).ok_or_else(truncated)?;
            this.names.push(name);
            let [virtual_size, address, raw, start] = [8, 12, 16, 20].map(|field| get32(bytes, entry + field));
            let memory = [virtual_size, address].map(|field| field.map(u64::from).ok_or_else(truncated));
            let [size, address] = memory;
            this.image_end = this.image_end.max(address? + size?);
            let file = [raw, start].map(|field| field.and_then(|it| usize::try_from(it).ok()).ok_or_else(truncated));
            let [raw, start] = file;
            let (raw, start) = (raw?, start?);
            if raw == 0 {
                continue;
            }
            let end = start.checked_add(raw).filter(|end| *end <= bytes.len());
            this.end = this.end.max(end.ok_or(damaged("it ends within a section"))?);
            limit = limit.min(start);
        }
        if table_end > limit || this.end > bytes.len() {
            return Err(truncated());
        }
        this.room = (limit - table_end) / SECTION_SIZE;
        this.room = this.room.min(usize::from(MAX_SECTIONS - count));
        Ok(this)
    }
}

impl Fields {
    /// Announces `more` sections and the image's new size, and clears references to what was
    /// removed.
    fn update(&self, head: &mut [u8], more: usize, image_size: u32) {
        let count = get16(head, self.coff + 2).unwrap_or(0).saturating_add(u16::try_from(more).unwrap_or(u16::MAX));
        head[self.coff + 2..self.coff + 4].copy_from_slice(&count.to_le_bytes());
        // PointerToSymbolTable, NumberOfSymbols.
        head[self.coff + 8..self.coff + 16].fill(0);
        put32(head, self.optional + 56, image_size);
        // CheckSum: UEFI ignores it, and 0 means that there is none.
        put32(head, self.optional + 64, 0);
        if self.directories > SECURITY_DIRECTORY {
            let entry = self.optional + 112 + 8 * SECURITY_DIRECTORY;
            head[entry..entry + 8].fill(0);
        }
    }

    /// Adds to SizeOfCode and SizeOfInitializedData.
    fn add(&self, head: &mut [u8], code: u32, data: u32) {
        for (at, more) in [(4, code), (8, data)] {
            let sum = get32(head, self.optional + at).unwrap_or(0).saturating_add(more);
            put32(head, self.optional + at, sum);
        }
    }
}

fn get16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn get32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn put32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

#[cfg(test)]
mod tests;
