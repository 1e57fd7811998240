//! Relationships between packages, see deb-control(5) and Debian Policy chapter 7:
//! `Depends`, `Pre-Depends`, `Provides`, `Conflicts`, `Breaks`, `Replaces` and the like.
//!
//! `a (>= 1) | b:any, c [amd64]` is two groups; the first has two alternatives.

use super::version;
use std::cmp::Ordering;
use std::fmt;

/// The most relations that one field may have (Debian's largest, the `Provides` of some Rust
/// libraries, has a few hundred).
pub const MAX_RELATIONS: usize = 16_384;

/// A comparison operator of versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `<<`
    Earlier,
    /// `<=`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`
    LaterOrEqual,
    /// `>>`
    Later,
}

impl Operator {
    /// Whether `version operator wanted` holds.
    pub fn holds(self, version: &str, wanted: &str) -> bool {
        let order = version::compare(version, wanted);
        match self {
            Self::Earlier => order == Ordering::Less,
            Self::EarlierOrEqual => order != Ordering::Greater,
            Self::Equal => order == Ordering::Equal,
            Self::LaterOrEqual => order != Ordering::Less,
            Self::Later => order == Ordering::Greater,
        }
    }

    /// The operator at the start of `text`, and the rest. `<` and `>` are obsolete forms of `<=`
    /// and `>=`.
    fn split(text: &str) -> Option<(Self, &str)> {
        const SPELLINGS: [(&str, Operator); 7] = [
            ("<<", Operator::Earlier),
            ("<=", Operator::EarlierOrEqual),
            (">>", Operator::Later),
            (">=", Operator::LaterOrEqual),
            ("=", Operator::Equal),
            ("<", Operator::EarlierOrEqual),
            (">", Operator::LaterOrEqual),
        ];
        SPELLINGS.iter().find_map(|(spelling, operator)| Some((*operator, text.strip_prefix(spelling)?)))
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Earlier => "<<",
            Self::EarlierOrEqual => "<=",
            Self::Equal => "=",
            Self::LaterOrEqual => ">=",
            Self::Later => ">>",
        })
    }
}

/// One alternative of a group: a package by name, with conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relation<'a> {
    /// Package name without qualifier.
    pub name: &'a str,
    /// Architecture qualifier: `any`, `native` or an architecture.
    pub qualifier: Option<&'a str>,
    /// The accepted versions.
    pub constraint: Option<(Operator, &'a str)>,
    /// The words between `[` and `]`; empty if there is no restriction.
    pub architectures: &'a str,
    /// Whether the next relation is an alternative to this one (`|` follows).
    pub or_next: bool,
}

impl Relation<'_> {
    /// Whether the restriction `[…]` allows the relation on `arch`. Either all words are negated or
    /// none.
    pub fn applies_on(&self, arch: &str) -> bool {
        let mut words = self.architectures.split_ascii_whitespace().peekable();
        let Some(first) = words.peek() else { return true };
        let negated = first.starts_with('!');
        let named = words.any(|word| matches_arch(word.trim_start_matches('!'), arch));
        named != negated
    }
}

/// deb-control(5): `any` and `linux-any` are wildcards, `any-amd64` names an architecture with
/// every kernel.
fn matches_arch(pattern: &str, arch: &str) -> bool {
    pattern == arch
        || pattern == "any"
        || pattern == "linux-any"
        || [Some("any"), Some("linux")].contains(&pattern.strip_suffix(arch).and_then(|os| os.strip_suffix('-')))
}

impl fmt::Display for Relation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if let Some(qualifier) = self.qualifier {
            write!(f, ":{qualifier}")?;
        }
        match self.constraint {
            Some((operator, version)) => write!(f, " ({operator} {version})"),
            None => Ok(()),
        }
    }
}

/// The text is not a list of relations.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum RelationError {
    /// One relation is malformed.
    #[error("{text:?} is not a package relation: {reason}")]
    Malformed {
        /// The relation, shortened.
        text: String,
        /// The defect.
        reason: String,
    },
    /// There are more than [`MAX_RELATIONS`].
    #[error("there are more than {MAX_RELATIONS} relations")]
    TooMany,
}

/// Iterates over the relations of a field's value. Ends after the first error.
#[derive(Debug, Clone)]
pub struct Relations<'a> {
    rest: &'a str,
    count: usize,
    in_group: bool,
}

impl<'a> Relations<'a> {
    /// Iterates over `text`, which may have several lines.
    pub fn new(text: &'a str) -> Self {
        Self { rest: text.trim_ascii(), count: 0, in_group: false }
    }
}

impl<'a> Iterator for Relations<'a> {
    type Item = Result<Relation<'a>, RelationError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() && !self.in_group {
            return None;
        }
        self.count += 1;
        if self.count > MAX_RELATIONS {
            (self.rest, self.in_group) = ("", false);
            return Some(Err(RelationError::TooMany));
        }
        let end = self.rest.bytes().position(|byte| byte == b',' || byte == b'|').unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        let or_next = rest.starts_with('|');
        (self.rest, self.in_group) = (rest.get(1..).unwrap_or_default().trim_ascii_start(), or_next);
        let parsed = parse(text.trim_ascii()).map(|relation| Relation { or_next, ..relation });
        if parsed.is_err() {
            (self.rest, self.in_group) = ("", false);
        }
        Some(parsed)
    }
}

fn parse(text: &str) -> Result<Relation<'_>, RelationError> {
    let malformed = |reason: String| RelationError::Malformed { text: text.chars().take(80).collect(), reason };
    let end = text.bytes().position(|byte| !is_name_byte(byte)).unwrap_or(text.len());
    let (name, mut rest) = text.split_at(end);
    if !is_package_name(name) {
        return Err(malformed("it does not start with a package name".into()));
    }
    let mut qualifier = None;
    if let Some(after) = rest.strip_prefix(':') {
        let end = after.bytes().position(|byte| !is_name_byte(byte)).unwrap_or(after.len());
        let (word, after) = after.split_at(end);
        if word.is_empty() {
            return Err(malformed("nothing follows the colon".into()));
        }
        (qualifier, rest) = (Some(word), after);
    }
    rest = rest.trim_ascii_start();
    let mut constraint = None;
    if let Some(after) = rest.strip_prefix('(') {
        let (inside, after) = after.split_once(')').ok_or_else(|| malformed("no ) closes the (".into()))?;
        let (operator, version) = Operator::split(inside.trim_ascii())
            .ok_or_else(|| malformed("the version needs one of << <= = >= >> before it".into()))?;
        let version = version.trim_ascii();
        version::validate(version).map_err(|error| malformed(error.to_string()))?;
        (constraint, rest) = (Some((operator, version)), after.trim_ascii_start());
    }
    let mut architectures = "";
    if let Some(after) = rest.strip_prefix('[') {
        let (inside, after) = after.split_once(']').ok_or_else(|| malformed("no ] closes the [".into()))?;
        (architectures, rest) = (inside.trim_ascii(), after.trim_ascii_start());
    }
    if !rest.is_empty() {
        return Err(malformed(format!("{:?} is not part of it", rest.chars().take(20).collect::<String>())));
    }
    Ok(Relation { name, qualifier, constraint, architectures, or_next: false })
}

/// Debian Policy 5.6.1, and the upper-case letters and underscores that other archives use.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+-._".contains(&byte)
}

/// Whether `name` is a valid package name.
pub fn is_package_name(name: &str) -> bool {
    name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric()) && name.bytes().all(is_name_byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(text: &str) -> Vec<Relation<'_>> {
        Relations::new(text).collect::<Result<_, _>>().expect(text)
    }

    fn shown(text: &str) -> String {
        all(text).iter().map(|one| format!("{one}{}", if one.or_next { " | " } else { "; " })).collect()
    }

    #[test]
    fn reads_groups_alternatives_versions_and_qualifiers() {
        assert_eq!(
            shown("libc6 (>= 2.36), python3:any|perl ( <<1:2-3 ) ,\n foo:native (= 1~), x+y.z-0"),
            "libc6 (>= 2.36); python3:any | perl (<< 1:2-3); foo:native (= 1~); x+y.z-0; "
        );
        assert_eq!(shown("a (< 1), b (> 2)"), "a (<= 1); b (>= 2); ");
        assert_eq!(shown(""), "");
        assert_eq!(shown("a,"), "a; ");
    }

    #[test]
    fn architecture_restrictions() {
        let on = |text: &str| all(text)[0].applies_on("amd64");
        assert!(
            on("a") && on("a [amd64]") && on("a (>= 1) [i386 amd64]") && on("a [linux-any]") && on("a [any-amd64]")
        );
        assert!(on("a [!i386 !arm64]") && on("a [any]"));
        assert!(!on("a [i386]") && !on("a [!amd64]") && !on("a [!i386 !amd64]") && !on("a [!linux-any]"));
    }

    #[test]
    fn operators() {
        for (operator, holds) in [("<<", "100"), ("<=", "110"), ("=", "010"), (">=", "011"), (">>", "001")] {
            let text = format!("a ({operator} 2)");
            let (operator, wanted) = all(&text)[0].constraint.expect("versioned");
            let got: String =
                ["1", "2", "3"].map(|have| if operator.holds(have, wanted) { '1' } else { '0' }).into_iter().collect();
            assert_eq!(got, holds, "{text}");
        }
    }

    #[test]
    fn errors_show_the_relation_and_the_reason() {
        let message = |text: &str| Relations::new(text).find_map(Result::err).expect(text).to_string();
        assert_eq!(message("a, (>= 1)"), "\"(>= 1)\" is not a package relation: it does not start with a package name");
        assert_eq!(message("a (>= 1"), "\"a (>= 1\" is not a package relation: no ) closes the (");
        assert_eq!(
            message("a (1)"),
            "\"a (1)\" is not a package relation: the version needs one of << <= = >= >> before it"
        );
        assert_eq!(
            message("a (= 1_2)"),
            "\"a (= 1_2)\" is not a package relation: \"1_2\" is not a package version: only letters, digits and . + ~ - may be in it"
        );
        assert_eq!(message("a b"), "\"a b\" is not a package relation: \"b\" is not part of it");
        assert_eq!(message("a | "), "\"\" is not a package relation: it does not start with a package name");
        assert_eq!(message("a:"), "\"a:\" is not a package relation: nothing follows the colon");
        assert_eq!(message("a [amd64"), "\"a [amd64\" is not a package relation: no ] closes the [");
        assert_eq!(message(&"a,".repeat(MAX_RELATIONS + 1)), "there are more than 16384 relations");
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in ".*", other in "[ab(|,)<>=1:\\[\\] !ä]*") {
            for text in [&text, &other] {
                for relation in Relations::new(text).flatten() {
                    let _ = (relation.applies_on("amd64"), relation.to_string());
                }
            }
        }
    }
}
