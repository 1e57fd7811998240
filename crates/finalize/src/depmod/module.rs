//! Reads a [`ModuleInfo`] from a module's bytes, as kmod's `libkmod-elf.c` does.

use super::decompress::decompress;
use super::{ModuleFile, ModuleInfo};
use crate::elf::{Class, Elf, ElfError, SHN_UNDEF, Sections, string_at};
use std::collections::BTreeSet;

/// The longest symbol or `.modinfo` value that is accepted, in bytes: keys in kmod's indexes must
/// be shorter than `PATH_MAX`.
const MAX_NAME: usize = 4095;
/// The largest sum of all exported and needed names, in bytes; real modules stay below 1 MiB.
const MAX_NAMES: usize = 32 << 20;

/// Why bytes are not a module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModuleError {
    /// It is not a usable ELF file.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// It cannot be decompressed.
    #[error("decompressing its {format}: {why}")]
    Compressed {
        /// `xz` or `zstd`.
        format: &'static str,
        /// The decompressor's message.
        why: String,
    },
    /// It is over the size limit.
    #[error("it is larger than 256 MiB when decompressed")]
    TooLarge,
    /// Its compression is not supported by Debian's kmod (which is built without zlib): `modprobe`
    /// would not find the module.
    #[error("Debian's kmod cannot read gzip")]
    Gzip,
    /// It has more symbol names than any real module.
    #[error("its symbol names have more than 32 MiB in total")]
    TooManyNames,
    /// kmod's indexes cannot hold a name.
    #[error("its {0} {1:?} is not printable ASCII of at most 4095 bytes, which kmod's indexes cannot hold")]
    Name(&'static str, String),
}

/// Reads a module's file; `needs` gets all undefined symbols, including the kernel's own.
pub(super) fn read(file: ModuleFile, bytes: &[u8]) -> Result<ModuleInfo, ModuleError> {
    let module = decompress(bytes)?;
    let sections = Elf::parse(&module)?.sections()?;
    let modinfo = sections.get(".modinfo").unwrap_or_default();
    Ok(ModuleInfo {
        file,
        exports: owned(exports(&sections))?,
        needs: needs(&sections)?,
        aliases: values(modinfo, "alias")?,
        softdeps: values(modinfo, "softdep")?,
        weakdeps: values(modinfo, "weakdep")?,
    })
}

/// Converts `bytes` to a name that fits into an index.
fn name(what: &'static str, bytes: &[u8]) -> Result<String, ModuleError> {
    let printable = bytes.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
    match std::str::from_utf8(bytes) {
        Ok(text) if printable && bytes.len() <= MAX_NAME => Ok(text.to_owned()),
        _ => Err(ModuleError::Name(what, String::from_utf8_lossy(bytes).chars().take(64).collect())),
    }
}

/// Returns the values of `key` in `.modinfo` (NUL-terminated `key=value` strings with NUL padding).
/// A string without `=` is a key with an empty value.
fn values(modinfo: &[u8], key: &'static str) -> Result<Vec<String>, ModuleError> {
    let strings = modinfo.split(|&byte| byte == 0);
    let values = strings.filter_map(|string| match string.strip_prefix(key.as_bytes())? {
        [b'=', value @ ..] => Some(value),
        [] => Some(&[][..]),
        _ => None,
    });
    values.map(|value| name(key, value)).collect()
}

/// Returns the names of the symbols that `sections` define or need, with whether they are
/// undefined.
///
/// Returns `None` when the symbol table is missing or damaged.
fn symbols<'a>(sections: &Sections<'a>) -> Option<Vec<(bool, &'a [u8])>> {
    let (strtab, symtab) = (sections.get(".strtab")?, sections.get(".symtab")?);
    sections
        .symbols(symtab)?
        .map(|symbol| {
            let at = u64::from(symbol.st_name);
            let inside = usize::try_from(at).is_ok_and(|at| at < strtab.len());
            inside.then(|| string_at(strtab, at)).flatten().map(|name| (symbol.st_shndx == SHN_UNDEF, name))
        })
        .collect()
}

/// Returns the exported symbols: those with a `__crc_` symbol if there is any, else the strings of
/// `__ksymtab_strings`.
fn exports<'a>(sections: &Sections<'a>) -> Vec<&'a [u8]> {
    let symbols = symbols(sections).unwrap_or_default();
    let mut exported: Vec<&[u8]> = symbols.iter().filter_map(|(_, symbol)| symbol.strip_prefix(b"__crc_")).collect();
    if exported.is_empty() {
        let strings = sections.get("__ksymtab_strings").unwrap_or_default();
        // kmod ignores a section that does not end in NUL.
        let whole = strings.last() == Some(&0);
        exported = if whole { strings.split(|&byte| byte == 0).collect() } else { Vec::new() };
    }
    exported.retain(|symbol| !symbol.is_empty());
    exported
}

/// Returns undefined symbols in the order of the symbol table, then those that only `__versions`
/// has.
///
/// A symbol that does not fit into an index cannot be another module's export and is omitted.
fn needs(sections: &Sections<'_>) -> Result<Vec<String>, ModuleError> {
    let Some(symbols) = symbols(sections) else { return Ok(Vec::new()) };
    let undefined = symbols.into_iter().filter(|(undefined, symbol)| *undefined && !symbol.is_empty());
    let mut needed: Vec<&[u8]> = undefined.map(|(_, symbol)| symbol).collect();
    let known: BTreeSet<&[u8]> = needed.iter().copied().collect();
    // struct modversion_info: an unsigned long and the name, 64 bytes together.
    let crc = if sections.class() == Class::Elf32 { 4 } else { 8 };
    let versions = sections.get("__versions").filter(|versions| versions.len().is_multiple_of(64)).unwrap_or_default();
    let listed = versions.chunks_exact(64).filter_map(|entry| string_at(entry, crc));
    needed.extend(listed.filter(|symbol| !symbol.is_empty() && !known.contains(symbol)));
    // PPC64's `.foo` is `foo`; kmod drops the dot everywhere.
    let plain = needed.into_iter().map(|symbol| symbol.strip_prefix(b".").unwrap_or(symbol));
    owned(plain.filter(|symbol| name("symbol", symbol).is_ok()).collect())
}

/// Copies `symbols` if they are within the limit.
fn owned(symbols: Vec<&[u8]>) -> Result<Vec<String>, ModuleError> {
    // Strings of a table may overlap, so a small file could name gigabytes.
    if symbols.iter().map(|symbol| symbol.len()).sum::<usize>() > MAX_NAMES {
        return Err(ModuleError::TooManyNames);
    }
    symbols.into_iter().map(|symbol| name("symbol", symbol)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file() -> ModuleFile {
        ModuleFile { path: "kernel/a.ko".into(), size: 0 }
    }

    #[test]
    fn modinfo_values_are_split() {
        let modinfo = b"\0\0alias=pci:v*\0\0aliasx=no\0alias\0softdep=pre: a b\0license=GPL\0alias=last";
        assert_eq!(values(modinfo, "alias").expect("values"), ["pci:v*", "", "last"]);
        assert_eq!(values(modinfo, "softdep").expect("values"), ["pre: a b"]);
        assert!(values(b"alias=\xc3\xa9\0", "alias").is_err());
    }

    /// A 64-bit module with one exported and one undefined symbol, and two versions, one of which
    /// has no symbol.
    fn module() -> Vec<u8> {
        let strtab: &[u8] = b"\0__crc_mine\0theirs\0";
        let symbol = |at: u8, section: u8| [&[at, 0, 0, 0, 0x10, 0, section, 0][..], &[0; 16]].concat();
        let symtab = [vec![0; 24], symbol(1, 0xf1), symbol(12, 0)].concat();
        let modinfo: &[u8] = b"alias=char-major-10-1\0softdep=pre: b\0";
        let names: &[u8] = b"\0.strtab\0.symtab\0.modinfo\0.shstrtab\0__versions\0";
        let version = |name: &[u8]| [&[1; 8], name, &vec![0; 56 - name.len()]].concat();
        let versions = [version(b"theirs"), version(b".layout")].concat();
        let mut bytes = vec![0; 64];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        let mut headers = vec![0_u8; 64];
        for (name, contents) in [(1_u8, strtab), (9, &symtab), (17, modinfo), (26, names), (36, &versions)] {
            let mut header = [0_u8; 64];
            header[0] = name;
            header[24..32].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
            header[32..40].copy_from_slice(&(contents.len() as u64).to_le_bytes());
            headers.extend(header);
            bytes.extend(contents);
        }
        let table = (bytes.len() as u64).to_le_bytes();
        bytes[40..48].copy_from_slice(&table);
        bytes[58..64].copy_from_slice(&[64, 0, 6, 0, 4, 0]);
        bytes.extend(headers);
        bytes
    }

    #[test]
    fn exports_and_needs_of_a_module_are_found() {
        let info = read(file(), &module()).expect("a module");
        assert_eq!(info.exports, ["mine"]);
        assert_eq!(info.needs, ["theirs", "layout"]);
        assert_eq!(
            (info.aliases.as_slice(), info.softdeps.as_slice()),
            (&["char-major-10-1".into()][..], &["pre: b".into()][..])
        );
        assert_eq!(read(file(), b"plain text"), Err(ModuleError::Elf(ElfError::NotElf)));
    }

    proptest! {
        #[test]
        fn mutated_modules_never_panic(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = module();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            read(file(), &bytes).ok();
            read(file(), &bytes[..cut.index(bytes.len())]).ok();
        }
    }
}
