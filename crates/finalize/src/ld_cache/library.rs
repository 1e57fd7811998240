//! Reads from a library what the cache records about it, as glibc's `readlib.c` and `readelflib.c`
//! do.

use crate::elf::{Class, ET_DYN, Elf, PT_DYNAMIC, PT_GNU_PROPERTY, PT_LOAD, Segment, string_at, u32_at};
use kiln_profile::Arch;
use serde::{Deserialize, Serialize};

/// What ld.so and ldconfig need to know about a library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Library {
    /// `DT_SONAME`.
    pub soname: Option<String>,
    /// ABI, the `flags` of its cache entries (glibc's `FLAG_…`).
    pub flags: i32,
    /// The x86 ISA level that it needs (`GNU_PROPERTY_X86_ISA_1_NEEDED`): 0 to [`MAX_ISA_LEVEL`].
    pub isa_level: u32,
}

/// The highest of the property's 32 bits.
pub const MAX_ISA_LEVEL: u32 = 31;

const EM_386: u16 = 3;
const EM_X86_64: u16 = 62;
const EM_AARCH64: u16 = 183;
const FLAG_ELF_LIBC6: i32 = 0x0003;
const FLAG_X8664_LIB64: i32 = 0x0300;
const FLAG_X8664_LIBX32: i32 = 0x0800;
const FLAG_AARCH64_LIB64: i32 = 0x0a00;
const DT_NULL: u64 = 0;
const DT_STRTAB: u64 = 5;
const DT_SONAME: u64 = 14;
const NT_GNU_PROPERTY_TYPE_0: u32 = 5;
const GNU_PROPERTY_X86_ISA_1_NEEDED: u32 = 0xc000_8002;
/// glibc reads only the header of a shorter file.
const MIN_SIZE: usize = 64;
/// The longest SONAME that is accepted, in bytes: that of a file name.
const MAX_SONAME: usize = 255;

/// Returns what the ldconfig of `arch` reads from a file; `None` if it ignores the file.
pub(super) fn read(bytes: &[u8], arch: Arch) -> Option<Library> {
    if bytes.len() < MIN_SIZE {
        return None;
    }
    let elf = Elf::parse(bytes).ok()?;
    if elf.e_type != ET_DYN {
        return None;
    }
    let flags = flags(&elf, arch)?;
    let segments: Vec<Segment> = elf.segments().collect::<Option<_>>()?;
    let soname = soname(&elf, &segments)?;
    let isa_level = match arch {
        Arch::Amd64 => isa_level(&elf, &segments).unwrap_or(0),
        Arch::Arm64 => 0,
    };
    Some(Library { soname, flags, isa_level })
}

/// Returns the ABI; `None` for another machine.
fn flags(elf: &Elf<'_>, arch: Arch) -> Option<i32> {
    match (arch, elf.e_machine, elf.class) {
        (Arch::Amd64, EM_X86_64, Class::Elf64) => Some(FLAG_X8664_LIB64 | FLAG_ELF_LIBC6),
        (Arch::Amd64, EM_X86_64, Class::Elf32) => Some(FLAG_X8664_LIBX32 | FLAG_ELF_LIBC6),
        // glibc 2.36 would give FLAG_ELF to a library that does not need libc.so.6; ld.so accepts
        // both.
        (Arch::Amd64, EM_386, Class::Elf32) => Some(FLAG_ELF_LIBC6),
        (Arch::Arm64, EM_AARCH64, Class::Elf64) => Some(FLAG_AARCH64_LIB64 | FLAG_ELF_LIBC6),
        _ => None,
    }
}

/// Returns tag and value of the entry of the dynamic section at `at`.
fn dynamic(elf: &Elf<'_>, at: u64) -> Option<(u64, u64)> {
    Some((elf.word(elf.bytes(), at)?, elf.word(elf.bytes(), at.checked_add(elf.word_size())?)?))
}

/// Returns `DT_SONAME`, `Some(None)` if there is none; `None` when the dynamic section is missing
/// or damaged.
fn soname(elf: &Elf<'_>, segments: &[Segment]) -> Option<Option<String>> {
    let segment = segments.iter().rfind(|segment| segment.p_type == PT_DYNAMIC && segment.p_filesz != 0)?;
    let step = 2 * elf.word_size();
    let mut names = None;
    let mut soname = None;
    let mut at = segment.p_offset;
    loop {
        let (tag, value) = dynamic(elf, at)?;
        match tag {
            DT_NULL => break,
            DT_STRTAB => names = names.or(Some(value)),
            DT_SONAME => soname = soname.or(Some(value)),
            _ => {}
        }
        at = at.checked_add(step)?;
    }
    let names = file_offset(segments, names?)?;
    let Some(soname) = soname else { return Some(None) };
    let name = string_at(elf.bytes(), names.checked_add(soname)?)?;
    let name = std::str::from_utf8(name).ok().filter(|name| name.len() <= MAX_SONAME)?;
    Some(Some(name.to_owned()))
}

/// Returns the file offset from which an address is loaded; glibc takes an address outside of all
/// segments as an offset.
fn file_offset(segments: &[Segment], address: u64) -> Option<u64> {
    let holds = |segment: &&Segment| {
        let inside = address.checked_sub(segment.p_vaddr).is_some_and(|offset| offset < segment.p_filesz);
        segment.p_type == PT_LOAD && inside
    };
    match segments.iter().find(holds) {
        Some(segment) => (address - segment.p_vaddr).checked_add(segment.p_offset),
        None => Some(address),
    }
}

/// Returns the ISA level in the GNU property segment (which linkers make), if there is one.
fn isa_level(elf: &Elf<'_>, segments: &[Segment]) -> Option<u32> {
    let align = elf.word_size();
    let segment = segments.iter().find(|segment| segment.p_type == PT_GNU_PROPERTY && segment.p_align == align)?;
    let start = usize::try_from(segment.p_offset).ok()?;
    let notes = elf.bytes().get(start..start.checked_add(usize::try_from(segment.p_filesz).ok()?)?)?;
    let mut at = 0_u64;
    // A note has the sizes of name and description and the type, then name and description, both
    // padded.
    while let (Some(n_namesz), Some(n_descsz), Some(n_type)) =
        (u32_at(notes, at), u32_at(notes, at + 4), u32_at(notes, at + 8))
    {
        let description = (at + 12 + u64::from(n_namesz)).next_multiple_of(align);
        let name = usize::try_from(at + 12).ok().and_then(|at| notes.get(at..at + 4));
        if n_namesz == 4 && n_type == NT_GNU_PROPERTY_TYPE_0 && name == Some(b"GNU\0") {
            let start = usize::try_from(at + 16).ok()?;
            let properties = notes.get(start..start.checked_add(usize::try_from(n_descsz).ok()?)?)?;
            let sound = n_descsz >= 8 && u64::from(n_descsz).is_multiple_of(align);
            return if sound { isa_property(properties, align) } else { None };
        }
        at = (description + u64::from(n_descsz)).next_multiple_of(align);
    }
    None
}

/// Returns the ISA property of a list that is sorted by type.
fn isa_property(properties: &[u8], align: u64) -> Option<u32> {
    let mut at = 0_u64;
    let mut last_type = 0;
    loop {
        let (pr_type, pr_datasz) = (u32_at(properties, at)?, u32_at(properties, at + 4)?);
        if pr_type < last_type || pr_type > GNU_PROPERTY_X86_ISA_1_NEEDED {
            return None;
        }
        if pr_type == GNU_PROPERTY_X86_ISA_1_NEEDED {
            let needed = u32_at(properties, at + 8).filter(|_| pr_datasz == 4)?;
            return needed.checked_ilog2();
        }
        last_type = pr_type;
        at = at + 8 + u64::from(pr_datasz).next_multiple_of(align);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A 64-bit x86 library `libx.so.1` that needs x86-64-v3 (bit 2).
    fn library() -> Vec<u8> {
        let mut bytes = vec![0_u8; 64];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[16] = 3;
        bytes[18] = 62;
        bytes[32] = 64;
        bytes[56] = 3;
        let words = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        let segment = |kind: u32, offset: u64, address: u64, size: u64| {
            [&kind.to_le_bytes()[..], &[0; 4], &words(&[offset, address, 0, size, size, 8])].concat()
        };
        let body = 64 + 3 * 56;
        let dynamic = words(&[DT_SONAME, 1, DT_STRTAB, 0x1000 + 48, DT_NULL, 0]);
        let name = b"\0libx.so.1\0\0\0\0\0\0";
        let note: Vec<u8> = [4_u32, 16, 5].iter().flat_map(|word| word.to_le_bytes()).chain(*b"GNU\0").collect();
        let property: Vec<u8> = [0xc000_8002_u32, 4, 0b111, 0].iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.extend(segment(PT_LOAD, body, 0x1000, 64));
        bytes.extend(segment(PT_DYNAMIC, body, 0x1000, 48));
        bytes.extend(segment(PT_GNU_PROPERTY, body + 64, 0x1040, 32));
        bytes.extend([dynamic, name.to_vec(), note, property].concat());
        bytes
    }

    #[test]
    fn soname_abi_and_isa_level_are_found() {
        let wanted = Library { soname: Some("libx.so.1".into()), flags: 0x303, isa_level: 2 };
        assert_eq!(read(&library(), Arch::Amd64), Some(wanted));
        assert_eq!(read(&library(), Arch::Arm64), None);
        let mut arm = library();
        arm[18] = 183;
        assert_eq!(read(&arm, Arch::Amd64), None);
        let wanted = Library { soname: Some("libx.so.1".into()), flags: 0xa03, isa_level: 0 };
        assert_eq!(read(&arm, Arch::Arm64), Some(wanted));
        assert_eq!(read(b"/* GNU ld script */ GROUP ( /lib/x86_64-linux-gnu/libc.so.6 )   padding", Arch::Amd64), None);
    }

    proptest! {
        #[test]
        fn mutated_libraries_never_panic(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = library();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            for library in [read(&bytes, Arch::Amd64), read(&bytes[..cut.index(bytes.len())], Arch::Amd64)] {
                prop_assert!(library.is_none_or(|library| library.isa_level <= MAX_ISA_LEVEL));
            }
        }
    }
}
