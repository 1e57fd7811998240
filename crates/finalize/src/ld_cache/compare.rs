//! The order of names in the cache, on which ld.so's binary search depends.

use std::cmp::Ordering;

/// glibc's `_dl_cache_libcmp`: compares bytes, but runs of digits as numbers (`libfoo.so.9` before
/// `libfoo.so.10`).
///
/// Numbers wrap at 32 bits and bytes are signed, as in glibc on x86.
pub(super) fn dl_cache_libcmp(left: &[u8], right: &[u8]) -> Ordering {
    let (mut left, mut right) = (left, right);
    loop {
        match (left.split_first(), right.split_first()) {
            (None, None) => return Ordering::Equal,
            (Some((a, _)), Some((b, _))) if a.is_ascii_digit() && b.is_ascii_digit() => {
                let difference = number(&mut left).wrapping_sub(number(&mut right));
                if difference != 0 {
                    return difference.cmp(&0);
                }
            }
            (Some((a, _)), _) if a.is_ascii_digit() => return Ordering::Greater,
            // The end of a name counts as the byte 0, which is not a digit.
            (Some(_), Some((b, _))) if b.is_ascii_digit() => return Ordering::Less,
            (a, b) => {
                let byte = |split: Option<(&u8, &[u8])>| split.map_or(0, |(byte, _)| byte.cast_signed());
                let order = byte(a).cmp(&byte(b));
                if order != Ordering::Equal {
                    return order;
                }
                left = left.get(1..).unwrap_or_default();
                right = right.get(1..).unwrap_or_default();
            }
        }
    }
}

/// Takes the leading digits.
fn number(text: &mut &[u8]) -> i32 {
    let mut value = 0_i32;
    while let Some((digit, rest)) = text.split_first().filter(|(digit, _)| digit.is_ascii_digit()) {
        value = value.wrapping_mul(10).wrapping_add(i32::from(digit - b'0'));
        *text = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn versions_compare_as_numbers() {
        let compare = |a: &str, b: &str| dl_cache_libcmp(a.as_bytes(), b.as_bytes());
        assert_eq!(compare("libc.so.6", "libc.so.6"), Ordering::Equal);
        assert_eq!(compare("libc.so.9", "libc.so.10"), Ordering::Less);
        assert_eq!(compare("libc.so.09", "libc.so.9"), Ordering::Equal);
        assert_eq!(compare("libz1", "libza"), Ordering::Greater);
        assert_eq!(compare("liba", "libab"), Ordering::Less);
        assert_eq!(compare("liba", "liba1"), Ordering::Less);
    }

    proptest! {
        #[test]
        fn it_is_a_total_order(a in "[ab0-9.]{0,6}", b in "[ab0-9.]{0,6}", c in "[ab0-9.]{0,6}") {
            let compare = |a: &str, b: &str| dl_cache_libcmp(a.as_bytes(), b.as_bytes());
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                prop_assert!(compare(&a, &c).is_le());
            }
        }
    }
}
