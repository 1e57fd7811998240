//! The parts of ELF that depmod and ldconfig read. The bytes are untrusted, and so is every number
//! in them.
//!
//! This is written by hand rather than taken from a crate, because the result must equal byte for
//! byte that of kmod's `libkmod-elf.c` and glibc's `readelflib.c`: both accept files that a strict
//! reader rejects (sections past the end are skipped, a missing `PT_LOAD` counts as offset 0), and
//! this leniency affects their output. Only little-endian files are read, as on all architectures
//! of images. Nothing is allocated: all results borrow from the file.

/// Why bytes are not a usable ELF file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// The magic number is wrong.
    #[error("it is not an ELF file")]
    NotElf,
    /// `EI_CLASS` or `EI_DATA` is that of an architecture without images.
    #[error("it is not a 32-bit or 64-bit little-endian ELF file")]
    Foreign,
    /// The named table reaches past the end of the file.
    #[error("its {0} is truncated or damaged")]
    Truncated(&'static str),
}

/// `EI_CLASS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// `ELFCLASS32`.
    Elf32,
    /// `ELFCLASS64`.
    Elf64,
}

/// A file with a valid ELF header.
#[derive(Debug, Clone, Copy)]
pub struct Elf<'a> {
    bytes: &'a [u8],
    /// `EI_CLASS`.
    pub class: Class,
    /// `e_type`.
    pub e_type: u16,
    /// `e_machine`.
    pub e_machine: u16,
    e_phoff: u64,
    e_phnum: u16,
    e_shoff: u64,
    e_shentsize: u16,
    e_shnum: u16,
    e_shstrndx: u16,
}

/// An entry of the program header table.
#[derive(Debug, Clone, Copy, Default)]
pub struct Segment {
    /// `p_type`.
    pub p_type: u32,
    /// `p_offset`.
    pub p_offset: u64,
    /// `p_vaddr`.
    pub p_vaddr: u64,
    /// `p_filesz`.
    pub p_filesz: u64,
    /// `p_align`.
    pub p_align: u64,
}

/// An entry of a symbol table.
#[derive(Debug, Clone, Copy)]
pub struct Symbol {
    /// `st_name`: the offset of its name in the string table.
    pub st_name: u32,
    /// `st_shndx`; 0 when the symbol is undefined.
    pub st_shndx: u16,
}

/// `p_type` of a loadable segment.
pub const PT_LOAD: u32 = 1;
/// `p_type` of the dynamic section.
pub const PT_DYNAMIC: u32 = 2;
/// `p_type` of the GNU property note.
pub const PT_GNU_PROPERTY: u32 = 0x6474_e553;
/// `e_type` of a shared object.
pub const ET_DYN: u16 = 3;
/// `st_shndx` of an undefined symbol.
pub const SHN_UNDEF: u16 = 0;

/// Returns `N` bytes at `at`.
fn array<const N: usize>(bytes: &[u8], at: u64) -> Option<[u8; N]> {
    let start = usize::try_from(at).ok()?;
    bytes.get(start..start.checked_add(N)?)?.try_into().ok()
}

fn u16_at(bytes: &[u8], at: u64) -> Option<u16> {
    array(bytes, at).map(u16::from_le_bytes)
}

/// Returns the little-endian `u32` at `at`.
pub fn u32_at(bytes: &[u8], at: u64) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: u64) -> Option<u64> {
    array(bytes, at).map(u64::from_le_bytes)
}

/// The largest part of a string that is read, in bytes, so that overlapping strings cannot cost
/// quadratic time.
pub const MAX_STRING: usize = 4096;

/// Returns the bytes from `at` up to the next NUL (or the end), at most [`MAX_STRING`].
pub fn string_at(bytes: &[u8], at: u64) -> Option<&[u8]> {
    let rest = bytes.get(usize::try_from(at).ok()?..)?;
    rest.get(..MAX_STRING).unwrap_or(rest).split(|&byte| byte == 0).next()
}

impl<'a> Elf<'a> {
    /// Reads the ELF header.
    ///
    /// # Errors
    /// [`ElfError`] for another format or too few bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ElfError> {
        if !bytes.starts_with(b"\x7fELF") {
            return Err(ElfError::NotElf);
        }
        let class = match bytes.get(4..6) {
            Some([1, 1]) => Class::Elf32,
            Some([2, 1]) => Class::Elf64,
            Some(_) => return Err(ElfError::Foreign),
            None => return Err(ElfError::Truncated("header")),
        };
        Self::header(bytes, class).ok_or(ElfError::Truncated("header"))
    }

    fn header(bytes: &'a [u8], class: Class) -> Option<Self> {
        let half = |at32, at64| u16_at(bytes, if class == Class::Elf32 { at32 } else { at64 });
        let offset = |at32, at64| match class {
            Class::Elf32 => u32_at(bytes, at32).map(u64::from),
            Class::Elf64 => u64_at(bytes, at64),
        };
        Some(Self {
            bytes,
            class,
            e_type: u16_at(bytes, 16)?,
            e_machine: u16_at(bytes, 18)?,
            e_phoff: offset(28, 32)?,
            e_shoff: offset(32, 40)?,
            e_phnum: half(44, 56)?,
            e_shentsize: half(46, 58)?,
            e_shnum: half(48, 60)?,
            e_shstrndx: half(50, 62)?,
        })
    }

    /// Returns a word of the file's class (`Elf32_Word` or `Elf64_Xword`).
    pub fn word(&self, bytes: &[u8], at: u64) -> Option<u64> {
        match self.class {
            Class::Elf32 => u32_at(bytes, at).map(u64::from),
            Class::Elf64 => u64_at(bytes, at),
        }
    }

    /// The size of such a word in bytes.
    pub fn word_size(&self) -> u64 {
        match self.class {
            Class::Elf32 => 4,
            Class::Elf64 => 8,
        }
    }

    /// All bytes of the file.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Returns the program headers, with `None` for one past the end of the file.
    pub fn segments(&self) -> impl Iterator<Item = Option<Segment>> + '_ {
        (0..u64::from(self.e_phnum)).map(|index| self.segment(index))
    }

    fn segment(&self, index: u64) -> Option<Segment> {
        let size = if self.class == Class::Elf32 { 32 } else { 56 };
        let at = self.e_phoff.checked_add(index * size)?;
        // The order of fields differs between the classes.
        let field = |at32: u64, at64: u64| match self.class {
            Class::Elf32 => self.word(self.bytes, at.checked_add(at32)?),
            Class::Elf64 => self.word(self.bytes, at.checked_add(at64)?),
        };
        Some(Segment {
            p_type: u32_at(self.bytes, at)?,
            p_offset: field(4, 8)?,
            p_vaddr: field(8, 16)?,
            p_filesz: field(16, 32)?,
            p_align: field(28, 48)?,
        })
    }

    /// Checks the section header table as kmod does before each look-up.
    ///
    /// # Errors
    /// [`ElfError::Truncated`] when the table or its string table is damaged.
    pub fn sections(&self) -> Result<Sections<'a>, ElfError> {
        let size = if self.class == Class::Elf32 { 40 } else { 64 };
        let end = self.e_shoff.checked_add(u64::from(size) * u64::from(self.e_shnum));
        let fits = end.is_some_and(|end| usize::try_from(end).is_ok_and(|end| end <= self.bytes.len()));
        if self.e_shentsize != size || !fits {
            return Err(ElfError::Truncated("section header table"));
        }
        let names = self.section_bytes(self.e_shstrndx).map(|(_, bytes)| bytes);
        match names {
            Some(names) if names.last() == Some(&0) => Ok(Sections { elf: *self, names }),
            _ => Err(ElfError::Truncated("section name table")),
        }
    }

    /// Returns `sh_name` and contents of section `index`; `None` for section 0 and for a section
    /// that does not exist or is outside the file.
    fn section_bytes(&self, index: u16) -> Option<(u32, &'a [u8])> {
        if index == SHN_UNDEF || index >= self.e_shnum {
            return None;
        }
        let at = self.e_shoff.checked_add(u64::from(index) * u64::from(self.e_shentsize))?;
        let (offset_at, size_at) = if self.class == Class::Elf32 { (16, 20) } else { (24, 32) };
        let start = usize::try_from(self.word(self.bytes, at.checked_add(offset_at)?)?).ok()?;
        let size = usize::try_from(self.word(self.bytes, at.checked_add(size_at)?)?).ok()?;
        // kmod treats offset 0 as "no such section".
        let contents = self.bytes.get(start..start.checked_add(size)?).filter(|_| start != 0)?;
        Some((u32_at(self.bytes, at)?, contents))
    }
}

/// The section headers of a file.
#[derive(Debug, Clone, Copy)]
pub struct Sections<'a> {
    elf: Elf<'a>,
    names: &'a [u8],
}

impl<'a> Sections<'a> {
    /// Returns the contents of the first section with this name.
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        (1..self.elf.e_shnum)
            .filter_map(|index| self.elf.section_bytes(index))
            .find(|(sh_name, _)| string_at(self.names, u64::from(*sh_name)) == Some(name.as_bytes()))
            .map(|(_, contents)| contents)
    }

    /// Returns the entries of the symbol table `symtab` without the empty first one; `None` when
    /// its size is not a multiple of the entry size.
    pub fn symbols(&self, symtab: &'a [u8]) -> Option<impl Iterator<Item = Symbol> + 'a> {
        let (size, shndx) = if self.elf.class == Class::Elf32 { (16, 14) } else { (24, 6) };
        let entry = move |bytes: &[u8]| Some(Symbol { st_name: u32_at(bytes, 0)?, st_shndx: u16_at(bytes, shndx)? });
        symtab.len().is_multiple_of(size).then(|| symtab.chunks_exact(size).skip(1).filter_map(entry))
    }

    /// The file's class.
    pub fn class(&self) -> Class {
        self.elf.class
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn other_formats_are_rejected() {
        assert_eq!(Elf::parse(b"#!/bin/sh").err(), Some(ElfError::NotElf));
        assert_eq!(Elf::parse(b"\x7fELF\x02\x02").err(), Some(ElfError::Foreign));
        assert_eq!(Elf::parse(b"\x7fELF\x02\x01").err(), Some(ElfError::Truncated("header")));
    }

    #[test]
    fn this_very_program_can_be_read() {
        let program = std::fs::read(std::env::current_exe().expect("a path")).expect("a file");
        let elf = Elf::parse(&program).expect("an ELF file");
        assert_eq!(elf.class, Class::Elf64);
        assert!(elf.segments().flatten().any(|segment| segment.p_type == PT_DYNAMIC));
        let sections = elf.sections().expect("sections");
        let (symtab, strtab) = (sections.get(".symtab").expect("symbols"), sections.get(".strtab").expect("names"));
        let main = sections.symbols(symtab).expect("whole entries").any(|symbol| {
            string_at(strtab, u64::from(symbol.st_name)) == Some(b"main") && symbol.st_shndx != SHN_UNDEF
        });
        assert!(main, "main is defined");
    }

    fn walk(bytes: &[u8]) {
        let Ok(elf) = Elf::parse(bytes) else { return };
        elf.segments().for_each(drop);
        let Ok(sections) = elf.sections() else { return };
        for name in [".symtab", ".modinfo", ""] {
            if let Some(symbols) = sections.get(name).and_then(|symtab| sections.symbols(symtab)) {
                symbols.for_each(drop);
            }
        }
    }

    proptest! {
        #[test]
        fn foreign_bytes_never_panic(wide: bool, body in prop::collection::vec(any::<u8>(), 0..400)) {
            walk(&body);
            let mut bytes = vec![0x7f, b'E', b'L', b'F', 1 + u8::from(wide), 1];
            bytes.extend(&body);
            // Plausible table positions, so that the test reads more than the header.
            for (at, value) in [(40, 64_u8), (58, 64), (60, 3), (62, 1), (32, 64), (56, 2)] {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
            }
            walk(&bytes);
        }
    }
}
