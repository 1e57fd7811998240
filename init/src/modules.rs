//! The kernel modules that `/init` may load, as a file beside it.
//!
//! The builder lists in [`FILE`] the modules that a disk's root may need: drivers of disks, and the
//! modules that verify and mount it. The list also says when: always, or when there is a device
//! that matches one of the module's aliases (modules.alias). Each line describes one module, in
//! fields separated by tabs: its path in the initramfs, the names of the modules that must be
//! loaded before it, in that order, and its aliases, both separated by blanks. A module without
//! aliases is always loaded; the alias `-` matches no device.
//!
//! ```text
//! usr/lib/modules/6.12.1/kernel/drivers/block/virtio_blk.ko.xz<TAB><TAB>virtio:d00000002v*
//! usr/lib/modules/6.12.1/kernel/drivers/md/dm-verity.ko.xz<TAB>dm_mod dm_bufio<TAB>
//! ```

use crate::list::ListError;
use std::fmt::Write as _;

/// The path of the list, without a leading slash.
pub const FILE: &str = "usr/lib/kiln/modules";

/// The largest list that `/init` reads, in bytes; the list of a kernel for hardware has about 100
/// kB.
pub const MAX_SIZE: u64 = 4 << 20;

/// An alias that no device has: the module is loaded when another one needs it.
pub const ONLY_NEEDED: &str = "-";

/// One module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Path of its file, without a leading slash.
    pub path: String,
    /// The names of its dependencies, in loading order.
    pub needs: Vec<String>,
    /// Patterns of device aliases; without patterns it is always loaded.
    pub aliases: Vec<String>,
}

impl Module {
    /// The kernel's name for it: the file name up to the first dot, with underscores.
    pub fn name(&self) -> String {
        name(&self.path)
    }

    /// Whether a device with `modalias` needs it.
    pub fn drives(&self, modalias: &str) -> bool {
        self.aliases.iter().any(|pattern| matches(pattern.as_bytes(), modalias.as_bytes()))
    }
}

/// The kernel's name for the module in the file at `path`.
pub fn name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or_default();
    file.split('.').next().unwrap_or_default().replace('-', "_")
}

/// Writes the list, in the given order; the inverse of [`decode`].
///
/// # Errors
/// [`ListError`] for names that the format cannot hold, with their position.
pub fn encode(modules: &[Module]) -> Result<String, ListError> {
    let mut text = String::new();
    for Module { path, needs, aliases } in modules {
        writeln!(text, "{path}\t{}\t{}", needs.join(" "), aliases.join(" ")).ok();
    }
    if decode(&text)? == modules {
        Ok(text)
    } else {
        Err(ListError { file: FILE, line: 1, why: "a name contains a blank" })
    }
}

/// Parses the complete list, or fails.
///
/// # Errors
/// [`ListError`] for a line that is not three fields or has a path that is not plain.
pub fn decode(text: &str) -> Result<Vec<Module>, ListError> {
    if !text.is_empty() && !text.ends_with('\n') {
        return Err(ListError {
            file: FILE,
            line: text.lines().count(),
            why: "it is truncated: it has no newline at its end",
        });
    }
    text.split_terminator('\n')
        .zip(1..)
        .map(|(line, number)| decode_line(line).map_err(|why| ListError { file: FILE, line: number, why }))
        .collect()
}

fn decode_line(line: &str) -> Result<Module, &'static str> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [path, needs, aliases] = fields[..] else { return Err("it does not have three fields separated by tabs") };
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) || path.chars().any(char::is_control) {
        return Err("its path is not a plain path without a leading slash");
    }
    let words = |field: &str| field.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
    Ok(Module { path: path.to_owned(), needs: words(needs), aliases: words(aliases) })
}

/// fnmatch(3) without flags, as modprobe matches aliases: `*`, `?`, and bracket expressions with
/// ranges and `!`.
///
/// The number of steps is at most the product of both lengths.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to continue when the text does not match: after the last star, which then matches one
    // more byte.
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

/// The length of the bracket expression at the beginning of `pattern`, if it contains `byte`.
fn bracket(pattern: &[u8], byte: u8) -> Option<usize> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let first = if negated { 2 } else { 1 };
    // A bracket in the first position is literal.
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
    fn a_list_has_one_line_for_each_module() {
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
        fn any_text_is_decoded_or_rejected(text in "(\\PC|[\t\n ]){0,60}") {
            if let Ok(list) = decode(&text) {
                prop_assert_eq!(decode(&encode(&list).expect("it was decoded")).expect("it was encoded"), list);
            }
        }

        /// Compares with the definition: a star matches nothing, or any byte followed by a star.
        #[test]
        fn stars_match_according_to_their_definition(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
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
        fn arbitrary_patterns_never_panic(pattern in prop::collection::vec(any::<u8>(), 0..20), text in prop::collection::vec(any::<u8>(), 0..20)) {
            matches(&pattern, &text);
        }
    }
}
