//! The kernel modules that `/init` may load, as a file beside it.
//!
//! The builder lists in [`FILE`] what a disk's root may need: drivers of disks, and what verifies and mounts it. It also says when: always,
//! or when there is a device one of the module's aliases (modules.alias) matches. One module a line, fields separated by tabs: its
//! path in the initramfs, the names of the modules that must be there before, in that order, and aliases, both separated by blanks.
//! No alias means always; the alias `-` is no device's.
//!
//! ```text
//! usr/lib/modules/6.12.1/kernel/drivers/block/virtio_blk.ko.xz<TAB><TAB>virtio:d00000002v*
//! usr/lib/modules/6.12.1/kernel/drivers/md/dm-verity.ko.xz<TAB>dm_mod dm_bufio<TAB>
//! ```

use crate::list::ListError;
use std::fmt::Write as _;

/// Where the list is, without a leading slash.
pub const FILE: &str = "usr/lib/kiln/modules";

/// Largest list `/init` reads, in bytes; that of a kernel for hardware has some 100 kB.
pub const MAX_SIZE: u64 = 4 << 20;

/// An alias that no device has: the module is loaded when another one needs it.
pub const ONLY_NEEDED: &str = "-";

/// One module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Path of its file, without a leading slash.
    pub path: String,
    /// Names of the modules it needs; each needs none that comes after it.
    pub needs: Vec<String>,
    /// Patterns of device aliases; none: it is always loaded.
    pub aliases: Vec<String>,
}

impl Module {
    /// The kernel's name for it: its file's, up to the first dot, with underscores.
    pub fn name(&self) -> String {
        name(&self.path)
    }

    /// Whether a device with `modalias` asks for it.
    pub fn drives(&self, modalias: &str) -> bool {
        self.aliases.iter().any(|pattern| matches(pattern.as_bytes(), modalias.as_bytes()))
    }
}

/// The kernel's name for the module in the file at `path`.
pub fn name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or_default();
    file.split('.').next().unwrap_or_default().replace('-', "_")
}

/// Writes the list, in the order given; the inverse of [`decode`].
///
/// # Errors
/// [`ListError`] for names that the format cannot hold, by position.
pub fn encode(modules: &[Module]) -> Result<String, ListError> {
    let mut text = String::new();
    for Module { path, needs, aliases } in modules {
        writeln!(text, "{path}\t{}\t{}", needs.join(" "), aliases.join(" ")).ok();
    }
    if decode(&text)? == modules {
        Ok(text)
    } else {
        Err(ListError { file: FILE, line: 1, why: "a name has a blank in it" })
    }
}

/// Reads the list, all of it or nothing.
///
/// # Errors
/// [`ListError`] for a line that is not three fields or has a path that is not plain.
pub fn decode(text: &str) -> Result<Vec<Module>, ListError> {
    if !text.is_empty() && !text.ends_with('\n') {
        return Err(ListError { file: FILE, line: text.lines().count(), why: "it is cut off: no newline at its end" });
    }
    text.split_terminator('\n')
        .zip(1..)
        .map(|(line, number)| decode_line(line).map_err(|why| ListError { file: FILE, line: number, why }))
        .collect()
}

fn decode_line(line: &str) -> Result<Module, &'static str> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [path, needs, aliases] = fields[..] else { return Err("it has not three fields separated by tabs") };
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) || path.chars().any(char::is_control) {
        return Err("its path is not a plain path without a leading slash");
    }
    let words = |field: &str| field.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
    Ok(Module { path: path.to_owned(), needs: words(needs), aliases: words(aliases) })
}

/// fnmatch(3) without flags, as modprobe matches aliases: `*`, `?`, and bracket expressions with ranges and `!`.
///
/// Takes at most the product of both lengths in steps.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on when the text does not fit: after the last star, with one more byte given to it.
    let mut retry = None;
    loop {
        let step = match (pattern.get(p), text.get(t)) {
            (None, None) => return true,
            (Some(b'*'), _) => {
                retry = Some((p + 1, t));
                p += 1;
                continue;
            }
            (Some(b'?'), Some(_)) => Some(p + 1),
            (Some(b'['), Some(&byte)) => bracket(&pattern[p..], byte).map(|size| p + size),
            (Some(wanted), Some(byte)) if wanted == byte => Some(p + 1),
            _ => None,
        };
        match (step, retry) {
            (Some(next), _) => (p, t) = (next, t + 1),
            (None, Some((after, from))) if from < text.len() => {
                (p, t) = (after, from + 1);
                retry = Some((after, from + 1));
            }
            _ => return false,
        }
    }
}

/// Length of the bracket expression that `pattern` begins with, if it has `byte`.
fn bracket(pattern: &[u8], byte: u8) -> Option<usize> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let first = if negated { 2 } else { 1 };
    // A bracket that comes first is itself.
    let end = first + 1 + pattern.get(first + 1..)?.iter().position(|&byte| byte == b']')?;
    let mut set = &pattern[first..end];
    let mut found = false;
    while let [low, rest @ ..] = set {
        (found, set) = match rest {
            [b'-', high, rest @ ..] => (found || (*low..=*high).contains(&byte), rest),
            rest => (found || *low == byte, rest),
        };
    }
    (found != negated).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn module(path: &str, needs: &[&str], aliases: &[&str]) -> Module {
        let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        Module { path: path.into(), needs: owned(needs), aliases: owned(aliases) }
    }

    #[test]
    fn a_list_is_lines() {
        let list = [module("a/dm-verity.ko.xz", &["dm_mod", "dm_bufio"], &[]), module("b.ko", &[], &["pci:v*", "x:"])];
        let text = encode(&list).expect("encoded");
        assert_eq!(text, "a/dm-verity.ko.xz\tdm_mod dm_bufio\t\nb.ko\t\tpci:v* x:\n");
        assert_eq!(decode(&text).expect("decoded"), list);
        assert_eq!(list[0].name(), "dm_verity");
        assert!(encode(&[module("a", &["b c"], &[])]).is_err());
        for bad in ["a\t", "a\t\t\t\n", "\t\t\n", "/a\t\t\n", "a/../b\t\t\n"] {
            assert!(decode(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn aliases_match_as_modprobe_does() {
        for (pattern, text, fits) in [
            ("virtio:d00000002v*", "virtio:d00000002v00001AF4", true),
            ("virtio:d00000002v*", "virtio:d00000008v00001AF4", false),
            ("pci:v*d*sv*sd*bc01sc08i02*", "pci:v00001B36d00000010sv00001AF4sd00001100bc01sc08i02", true),
            ("pci:v*d*sv*sd*bc01sc08i02*", "pci:v00001B36d00000010sv00001AF4sd00001100bc01sc08i03", false),
            ("cpu:type:x86,ven*fam*mod*:feature:*009C*", "cpu:type:x86,ven0fam6mod6:feature:,0089,009C,00A0", true),
            ("a[0-9]b", "a5b", true),
            ("a[!0-9]b", "a5b", false),
            ("a[]x]b", "a]b", true),
            ("a[", "a[", false),
            ("?", "", false),
            ("*", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), fits, "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_decoded_or_refused(text in "(\\PC|[\t\n ]){0,60}") {
            if let Ok(list) = decode(&text) {
                prop_assert_eq!(decode(&encode(&list).expect("it was decoded")).expect("it was encoded"), list);
            }
        }

        /// Compared with the definition: a star is nothing, or any byte and a star.
        #[test]
        fn stars_are_what_they_are(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            fn naive(pattern: &[u8], text: &[u8]) -> bool {
                match (pattern, text) {
                    ([], []) => true,
                    ([b'*', rest @ ..], _) => naive(rest, text) || (!text.is_empty() && naive(pattern, &text[1..])),
                    ([b'?', pattern @ ..], [_, text @ ..]) => naive(pattern, text),
                    ([a, pattern @ ..], [b, text @ ..]) if a == b => naive(pattern, text),
                    _ => false,
                }
            }
            prop_assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), naive(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn no_pattern_is_a_panic(pattern in prop::collection::vec(any::<u8>(), 0..20), text in prop::collection::vec(any::<u8>(), 0..20)) {
            matches(&pattern, &text);
        }
    }
}
