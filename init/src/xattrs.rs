//! The extended attributes of an initramfs, in a file inside it.
//!
//! The newc archive format cannot store extended attributes, so file capabilities would be lost.
//! The builder lists them in [`FILE`]; `/init` sets them before anything else runs.
//!
//! Each line describes one attribute; lines are sorted and end with a newline. The fields are the
//! path without a leading slash, the attribute's full name, and its value in lower-case
//! hexadecimal, separated by tabs:
//!
//! ```text
//! usr/bin/ping<TAB>security.capability<TAB>0100000200200000000000000000000000000000
//! ```

use crate::list::ListError;
use std::fmt::Write as _;

/// The path of the list, without a leading slash.
pub const FILE: &str = "usr/lib/kiln/xattrs";

/// The largest list that `/init` reads, in bytes.
pub const MAX_SIZE: u64 = 1 << 20;

/// One extended attribute of one file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Xattr {
    /// Path without a leading slash; symbolic links are not followed at its end.
    pub path: String,
    /// Its full name, such as `security.capability`.
    pub name: String,
    /// The value's bytes.
    pub value: Vec<u8>,
}

/// Writes the list; the inverse of [`decode`].
///
/// # Errors
/// [`ListError`] for attributes that the format cannot hold (see the rules of [`decode`]), with
/// their position.
pub fn encode(xattrs: &[Xattr]) -> Result<String, ListError> {
    let mut sorted: Vec<&Xattr> = xattrs.iter().collect();
    sorted.sort();
    let mut text = String::new();
    for Xattr { path, name, value } in sorted {
        write!(text, "{path}\t{name}\t").ok();
        value.iter().for_each(|byte| {
            write!(text, "{byte:02x}").ok();
        });
        text.push('\n');
    }
    decode(&text)?;
    Ok(text)
}

/// Parses the complete list, or fails.
///
/// # Errors
/// [`ListError`] for a line that is not three fields, an unusual path or name, or digits that are
/// not hexadecimal.
pub fn decode(text: &str) -> Result<Vec<Xattr>, ListError> {
    let at = |line, why| ListError { file: FILE, line, why };
    if !text.is_empty() && !text.ends_with('\n') {
        return Err(at(text.lines().count(), "it is truncated: it has no newline at its end"));
    }
    text.split_terminator('\n')
        .zip(1..)
        .map(|(line, number)| decode_line(line).map_err(|why| at(number, why)))
        .collect()
}

fn decode_line(line: &str) -> Result<Xattr, &'static str> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [path, name, value] = fields[..] else { return Err("it does not have three fields separated by tabs") };
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) || path.chars().any(char::is_control) {
        return Err("its path is not a plain path without a leading slash");
    }
    let plain = |c: char| c.is_ascii_graphic();
    if !name.chars().all(plain)
        || !name.split_once('.').is_some_and(|(space, rest)| !space.is_empty() && !rest.is_empty())
    {
        return Err("its attribute is not a full name such as security.capability");
    }
    let value = decode_hex(value).ok_or("its value is not lower-case hexadecimal digits in pairs")?;
    Ok(Xattr { path: path.into(), name: name.into(), value })
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| if let [high, low] = pair { Some(digit(*high)? << 4 | digit(*low)?) } else { None }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ping() -> Xattr {
        Xattr { path: "usr/bin/ping".into(), name: "security.capability".into(), value: vec![1, 0, 0, 2, 0, 0x20] }
    }

    #[test]
    fn a_list_has_sorted_lines() {
        let other = Xattr { path: "usr/bin/arping".into(), ..ping() };
        let text = encode(&[ping(), other]).expect("encoded");
        assert_eq!(
            text,
            "usr/bin/arping\tsecurity.capability\t010000020020\nusr/bin/ping\tsecurity.capability\t010000020020\n"
        );
    }

    #[test]
    fn malformed_lists_are_rejected_with_their_line() {
        let good = "a\tuser.b\t00\n";
        for (bad, part) in [
            ("a\tuser.b\t00", "truncated"),
            ("a\tuser.b\n", "three fields"),
            ("a\tuser.b\t00\t\n", "three fields"),
            ("\n", "three fields"),
            ("/a\tuser.b\t00\n", "path"),
            ("a/../b\tuser.b\t00\n", "path"),
            ("a\0\tuser.b\t00\n", "path"),
            ("a\tuser\t00\n", "full name"),
            ("a\t.b\t00\n", "full name"),
            ("a\tuser.ü\t00\n", "full name"),
            ("a\tuser.b\t0\n", "hexadecimal"),
            ("a\tuser.b\t0G\n", "hexadecimal"),
            ("a\tuser.b\tAA\n", "hexadecimal"),
        ] {
            let error = decode(&format!("{good}{bad}")).expect_err(bad);
            assert_eq!(error.line, 2, "{bad:?}");
            assert!(error.why.contains(part), "{bad:?}: {error}");
        }
        assert!(encode(&[Xattr { path: "a\tb".into(), ..ping() }]).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_decoded_or_rejected(text in "(\\PC|[\t\n./a-f0-9]){0,60}") {
            if let Ok(list) = decode(&text) {
                prop_assert_eq!(decode(&encode(&list).expect("it was decoded")).expect("it was encoded").len(), list.len());
            }
        }

        #[test]
        fn lists_round_trip(values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8)) {
            let mut list: Vec<Xattr> = values.into_iter().map(|value| Xattr { value, ..ping() }).collect();
            list.sort();
            prop_assert_eq!(decode(&encode(&list).expect("encoded")).expect("decoded"), list);
        }
    }
}
