//! Debian package versions, `[epoch:]upstream[-revision]`, and their order, as in deb-version(7).

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// The longest accepted version, in bytes (Debian's longest has about 60).
pub const MAX_VERSION_BYTES: usize = 1024;

/// A checked version. Equality and order are dpkg's: `1.0`, `0:1.0` and `1.0-0` are equal.
#[derive(Clone)]
pub struct Version(Box<str>);

/// The text is not a version.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("{text:?} is not a package version: {reason}")]
pub struct VersionError {
    text: String,
    reason: &'static str,
}

impl Version {
    /// The version as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        validate(text)?;
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0)
    }
}

/// Checks a version's form. As dpkg does, it accepts an upstream version that does not start with a
/// digit.
///
/// # Errors
/// Empty parts, an epoch that is not a number up to 2147483647, characters that no version has,
/// more than [`MAX_VERSION_BYTES`] bytes.
pub fn validate(text: &str) -> Result<(), VersionError> {
    problem(text).map_or(Ok(()), |reason| Err(VersionError { text: text.chars().take(80).collect(), reason }))
}

fn problem(text: &str) -> Option<&'static str> {
    if text.len() > MAX_VERSION_BYTES {
        return Some("it is too long");
    }
    let (epoch, rest) = text.split_once(':').map_or((None, text), |(epoch, rest)| (Some(epoch), rest));
    if let Some(epoch) = epoch {
        let digits = !epoch.is_empty() && epoch.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || epoch.parse::<i32>().is_err() {
            return Some("the epoch before the colon is not a number up to 2147483647");
        }
    }
    let (upstream, revision) = split_revision(rest);
    if upstream.is_empty() {
        return Some("the upstream version is empty");
    }
    if rest.ends_with('-') {
        return Some("the revision after the last hyphen is empty");
    }
    let common = |byte: u8| byte.is_ascii_alphanumeric() || b".+~".contains(&byte);
    let upstream_has = |byte: u8| common(byte) || byte == b'-' || byte == b':' && epoch.is_some();
    if !upstream.bytes().all(upstream_has) || !revision.bytes().all(common) {
        return Some("only letters, digits and . + ~ - may be in it");
    }
    None
}

/// Orders two versions as `dpkg --compare-versions` does. Both should have passed [`validate`];
/// other text is ordered, too.
pub fn compare(a: &str, b: &str) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    let ((epoch_a, rest_a), (epoch_b, rest_b)) = (split_epoch(a), split_epoch(b));
    let ((upstream_a, revision_a), (upstream_b, revision_b)) = (split_revision(rest_a), split_revision(rest_b));
    epoch_a
        .cmp(&epoch_b)
        .then_with(|| compare_part(upstream_a.as_bytes(), upstream_b.as_bytes()))
        .then_with(|| compare_part(revision_a.as_bytes(), revision_b.as_bytes()))
}

fn split_epoch(version: &str) -> (u32, &str) {
    version.split_once(':').map_or((0, version), |(epoch, rest)| (epoch.parse().unwrap_or(0), rest))
}

/// An absent revision is empty, which sorts like `0`.
fn split_revision(version: &str) -> (&str, &str) {
    version.rsplit_once('-').unwrap_or((version, ""))
}

/// deb-version(7), "sorting algorithm": runs of non-digits and of digits in turn.
fn compare_part(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let digit_next = |part: &[u8]| part.first().is_none_or(u8::is_ascii_digit);
        while !digit_next(a) || !digit_next(b) {
            let order = weight(a.first()).cmp(&weight(b.first()));
            if order.is_ne() {
                return order;
            }
            (a, b) = (a.get(1..).unwrap_or_default(), b.get(1..).unwrap_or_default());
        }
        let (number_a, number_b);
        (number_a, a) = split_number(a);
        (number_b, b) = split_number(b);
        let order = number_a.len().cmp(&number_b.len()).then_with(|| number_a.cmp(number_b));
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

/// `~` before the end, the end (or a digit) before letters, letters before everything else.
fn weight(byte: Option<&u8>) -> i16 {
    match byte {
        Some(b'~') => -1,
        None | Some(b'0'..=b'9') => 0,
        Some(letter) if letter.is_ascii_alphabetic() => i16::from(*letter),
        Some(other) => i16::from(*other) + 256,
    }
}

/// The leading number without its leading zeros, and the rest.
fn split_number(part: &[u8]) -> (&[u8], &[u8]) {
    let end = part.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(part.len());
    let (number, rest) = part.split_at(end);
    let zeros = number.iter().take_while(|byte| **byte == b'0').count();
    (&number[zeros..], rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn version(text: &str) -> Version {
        text.parse().expect("a version")
    }

    #[test]
    fn the_examples_of_the_manual_page_are_ordered() {
        // "1+b1" comes after "1a": letters are before other characters.
        let ascending = [
            "1~~",
            "1~~a",
            "1~",
            "1~rc1",
            "1",
            "1a",
            "1+b1",
            "1.0",
            "1.0-1",
            "1.0-1+deb13u1",
            "1.0-2",
            "1.0.a",
            "1.2",
            "1.10",
            "1:0.1",
        ];
        let mut sorted: Vec<Version> = ascending.iter().rev().map(|text| version(text)).collect();
        sorted.sort();
        assert_eq!(sorted.iter().map(Version::as_str).collect::<Vec<_>>(), ascending);
    }

    #[test]
    fn versions_can_be_equal_in_different_spellings() {
        for (a, b) in [("1.0", "0:1.0"), ("1.0", "1.0-0"), ("1.01", "1.1"), ("1.0-00", "1.0")] {
            assert_eq!(version(a), version(b), "{a} {b}");
        }
        assert_ne!(version("1.0"), version("1.0-0~"));
    }

    #[test]
    fn versions_that_dpkg_rejects_are_rejected() {
        let message = |text: &str| text.parse::<Version>().expect_err(text).to_string();
        assert_eq!(message(""), "\"\" is not a package version: the upstream version is empty");
        assert_eq!(message("1:"), "\"1:\" is not a package version: the upstream version is empty");
        assert!(message("a:1").contains("epoch"));
        assert!(message(":1").contains("epoch"));
        assert!(message("2147483648:1").contains("epoch"));
        assert!(message("1-").contains("revision"));
        assert!(message("1_2").contains("only letters"));
        assert!(message("1:1 2").contains("only letters"));
        assert!(message("1.ä").contains("only letters"));
        assert!(message(&"1".repeat(MAX_VERSION_BYTES + 1)).contains("too long"));
        for good in ["1:1:2-3", "1-2-3", "a1", "1~", "0:0-0"] {
            assert!(validate(good).is_ok(), "{good}");
        }
    }

    fn any_version() -> impl Strategy<Value = String> {
        "([0-2]:)?[0-2a.+~-]{0,5}[0-2a.+~]".prop_filter("must be a version", |text| validate(text).is_ok())
    }

    proptest! {
        #[test]
        fn order_is_total(a in any_version(), b in any_version(), c in any_version()) {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                prop_assert!(compare(&a, &c).is_le(), "{} {} {}", a, b, c);
            }
            if compare(&a, &b).is_eq() {
                prop_assert_eq!(compare(&a, &c), compare(&b, &c));
            }
        }

        #[test]
        fn arbitrary_text_never_panics(a in ".*", b in "[0-9:~.ä-]*") {
            let _ = (validate(&a), validate(&b));
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
        }
    }
}
