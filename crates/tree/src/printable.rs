//! Names from packages, images and registries as text that cannot change a terminal.

use std::fmt::{self, Write as _};

/// A name or the target of a link, as messages and lists show it: on one line, and so that two
/// names never look alike.
///
/// A backslash is `\\`; control characters are `\n`, `\r`, `\t` or `\x1b`, those outside of ASCII
/// `\u{85}`, as are the invisible ones that reverse or break a line (Unicode Standard Annex 9); a
/// byte that is not UTF-8 is `\xff`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Printable<'a> {
    bytes: &'a [u8],
    backslash: &'static str,
}

impl<'a> Printable<'a> {
    /// Shows `name`, which may be any bytes.
    pub fn new(name: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        Self { bytes: name.as_ref(), backslash: "\\\\" }
    }

    /// Shows a sentence, in which names are printable or in quotes already: backslashes stay.
    pub fn sentence(text: &'a str) -> Self {
        Self { bytes: text.as_bytes(), backslash: "\\" }
    }
}

/// Whether a character controls the output or is invisible and changes the order of what is visible.
pub(super) fn is_control(char: char) -> bool {
    // ALM, LRM, RLM; line and paragraph separator, LRE to RLO; LRI to PDI; the byte order mark.
    char.is_control()
        || matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Whether a name has characters that [`Printable`] escapes, besides backslashes.
pub fn has_controls(name: &str) -> bool {
    name.chars().any(is_control)
}

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.bytes.utf8_chunks() {
            for char in chunk.valid().chars() {
                match char {
                    '\\' => f.write_str(self.backslash)?,
                    '\n' => f.write_str("\\n")?,
                    '\r' => f.write_str("\\r")?,
                    '\t' => f.write_str("\\t")?,
                    char if char.is_ascii_control() => write!(f, "\\x{:02x}", u32::from(char))?,
                    char if is_control(char) => write!(f, "\\u{{{:x}}}", u32::from(char))?,
                    char => f.write_char(char)?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn every_kind_of_character_is_shown() {
        for (name, shown) in [
            (&b"usr/lib/a b"[..], "usr/lib/a b"),
            ("Főtanúsítvány.crt".as_bytes(), "Főtanúsítvány.crt"),
            (b"a\\x2db", "a\\\\x2db"),
            (b"\x1b[2J\n\t\r\x00\x7f", "\\x1b[2J\\n\\t\\r\\x00\\x7f"),
            ("\u{85}\u{9b}".as_bytes(), "\\u{85}\\u{9b}"),
            ("a\u{202e}gpj.sh".as_bytes(), "a\\u{202e}gpj.sh"),
            ("\u{2066}\u{2028}\u{200f}\u{61c}\u{feff}".as_bytes(), "\\u{2066}\\u{2028}\\u{200f}\\u{61c}\\u{feff}"),
            (b"a\xff\xc3", "a\\xff\\xc3"),
        ] {
            assert_eq!(Printable::new(name).to_string(), shown);
        }
        assert_eq!(Printable::sentence("\"a\\nb\" is\x1b here").to_string(), "\"a\\nb\" is\\x1b here");
    }

    proptest! {
        #[test]
        fn different_names_look_different(names in prop::collection::vec(prop::collection::vec(
            prop::sample::select(b"\\x1bnu{}\x1b\n\x85\xc2\xff\xe2\x80\xae".as_slice()), 0..6), 2..20)) {
            let mut shown = BTreeMap::new();
            for name in &names {
                let text = Printable::new(name).to_string();
                prop_assert!(!has_controls(&text));
                let first = shown.entry(text).or_insert(name);
                prop_assert_eq!(&*first, &name);
            }
        }
    }
}
