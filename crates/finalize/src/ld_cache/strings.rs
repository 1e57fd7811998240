//! The cache's string table: a string that is the tail of another shares its bytes.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// Strings and their offsets.
pub(super) struct Strings {
    /// NUL-terminated strings.
    pub(super) bytes: Vec<u8>,
    offsets: BTreeMap<String, usize>,
}

impl Strings {
    /// Lays out `strings` like glibc's `stringtable_finalize`.
    pub(super) fn new(strings: BTreeSet<String>) -> Self {
        let mut sorted: Vec<String> = strings.into_iter().collect();
        sorted.sort_by(|a, b| backwards(a.as_bytes(), b.as_bytes()));
        let mut bytes = Vec::new();
        let mut offsets = BTreeMap::new();
        let mut previous: Option<(usize, String)> = None;
        for string in sorted {
            let at = match &previous {
                Some((at, longer)) if longer.ends_with(&string) => at + longer.len() - string.len(),
                _ => {
                    let at = bytes.len();
                    bytes.extend(string.as_bytes());
                    bytes.push(0);
                    at
                }
            };
            offsets.insert(string.clone(), at);
            previous = Some((at, string));
        }
        if bytes.is_empty() && !offsets.is_empty() {
            bytes.push(0);
        }
        Self { bytes, offsets }
    }

    /// Returns the offset of `string`, one of those given.
    pub(super) fn offset(&self, string: &str) -> Option<usize> {
        self.offsets.get(string).copied()
    }
}

/// Compares from the last byte backwards, descending; the longer of two that agree comes first.
fn backwards(a: &[u8], b: &[u8]) -> Ordering {
    b.iter().rev().cmp(a.iter().rev())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tails_are_shared() {
        let strings = ["/lib/libc.so.6", "libc.so.6", "libm.so.6"].map(str::to_owned);
        let strings = Strings::new(strings.into());
        assert_eq!(strings.bytes, b"libm.so.6\0/lib/libc.so.6\0");
        assert_eq!(strings.offset("libc.so.6"), Some(15));
        assert_eq!(strings.offset("absent"), None);
    }

    proptest! {
        #[test]
        fn every_string_is_where_it_should_be(strings in prop::collection::btree_set("[ab/]{0,4}", 0..20)) {
            let table = Strings::new(strings.clone());
            for string in strings {
                let at = table.offset(&string).expect("there");
                let found = table.bytes[at..].split(|&byte| byte == 0).next().expect("a string");
                prop_assert_eq!(found, string.as_bytes());
            }
        }
    }
}
