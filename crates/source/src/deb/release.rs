//! `Release` files, as in <https://wiki.debian.org/DebianRepository/Format>: what an archive
//! declares about one suite.
//!
//! The signature of a text is verified before it is parsed here, see [`super::signature`].

use super::control::{self, ControlError, Field};
use jiff::{SignedDuration, Timestamp};
use kiln_tree::Digest;
use std::collections::BTreeMap;

/// The most files that a `Release` may list (unstable's lists about 3,000).
pub const MAX_FILES: usize = 200_000;
/// How far `Date` may be in the future, because the clocks of mirror and host differ.
pub const MAX_CLOCK_SKEW: SignedDuration = SignedDuration::from_hours(24);

/// Why a `Release` cannot be read.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum ReleaseError {
    /// Not deb822, or a necessary field is missing.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A field has an invalid value.
    #[error("line {line}: {field} {value:?} is not {expected}")]
    Value {
        /// Line of the text, counted from 1.
        line: usize,
        /// The field.
        field: &'static str,
        /// Its value or the invalid part, shortened.
        value: String,
        /// The expected form.
        expected: &'static str,
    },
    /// Two lines of `SHA256` differ for one file.
    #[error("line {line}: SHA256 lists {path:?} twice with different values")]
    Contradiction {
        /// Line of the field's name, counted from 1.
        line: usize,
        /// The file.
        path: String,
    },
    /// More than [`MAX_FILES`].
    #[error("line {line}: SHA256 lists more than {MAX_FILES} files")]
    TooManyFiles {
        /// Line of the field's name, counted from 1.
        line: usize,
    },
}

/// Why a `Release` is not the wanted one or not current.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum ReleaseMismatch {
    /// It describes another suite.
    #[error(
        "it is the release of {found}, not of {wanted}: the mirror serves the wrong suite; use another mirror (--mirror)"
    )]
    WrongSuite {
        /// The requested suite.
        wanted: String,
        /// The codename and suite of the release.
        found: String,
    },
    /// `Valid-Until` has passed.
    #[error(
        "it was valid until {valid_until}, and now it is {now}: the mirror is stale or someone replays old indexes; use another mirror \
         (--mirror), or accept it with --ignore-valid-until"
    )]
    Expired {
        /// `Valid-Until`.
        valid_until: Timestamp,
        /// The time given by the caller.
        now: Timestamp,
    },
    /// `Date` lies in the future.
    #[error("it is dated {date}, but now it is {now}: set this machine's clock")]
    Future {
        /// `Date`.
        date: Timestamp,
        /// The time given by the caller.
        now: Timestamp,
    },
}

/// A file of the suite, found below `dists/<suite>/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReleaseFile {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// What an archive declares about one suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The publisher, `Debian`.
    pub origin: Option<String>,
    /// `stable`, `stable-updates`, `stable-security`, …
    pub suite: Option<String>,
    /// `trixie`, `trixie-updates`, `trixie-security`, …
    pub codename: Option<String>,
    /// When it was made.
    pub date: Timestamp,
    /// When it expires; point releases have no such date.
    pub valid_until: Option<Timestamp>,
    /// `main`, …; the security archive has `updates/main`.
    pub components: Vec<String>,
    /// `all`, `amd64`, …
    pub architectures: Vec<String>,
    /// Whether every file is also found as `by-hash/SHA256/<digest>` in its directory.
    pub acquire_by_hash: bool,
    /// By path below `dists/<suite>/`.
    pub files: BTreeMap<String, ReleaseFile>,
}

impl Release {
    /// Reads the text of a `Release`.
    ///
    /// # Errors
    /// It is not deb822, lacks `Date` or `SHA256`, or a value is malformed.
    pub fn parse(text: &str) -> Result<Self, ReleaseError> {
        let paragraph = control::single(text)?;
        let own = |name| paragraph.get(name).map(str::to_owned);
        let words = |name| {
            paragraph.field(name).map_or_else(Vec::new, |field: &Field<'_>| field.words().map(str::to_owned).collect())
        };
        Ok(Self {
            origin: own("Origin"),
            suite: own("Suite"),
            codename: own("Codename"),
            date: read_date("Date", paragraph.require_field("Date")?)?,
            valid_until: paragraph.field("Valid-Until").map(|field| read_date("Valid-Until", field)).transpose()?,
            components: words("Components"),
            architectures: words("Architectures"),
            acquire_by_hash: paragraph.get("Acquire-By-Hash").is_some_and(|value| value.eq_ignore_ascii_case("yes")),
            files: read_files(paragraph.require_field("SHA256")?)?,
        })
    }

    /// Checks that this is the release of `wanted` (a code name or a suite name) and current at
    /// `now`.
    ///
    /// # Errors
    /// It is for another suite, dated in the future or, with `check_valid_until`, expired.
    pub fn check(&self, wanted: &str, now: Timestamp, check_valid_until: bool) -> Result<(), ReleaseMismatch> {
        if ![&self.codename, &self.suite].into_iter().flatten().any(|name| name == wanted) {
            let names: Vec<_> = [&self.codename, &self.suite].into_iter().flatten().map(String::as_str).collect();
            let found = if names.is_empty() { "a suite without a name".to_owned() } else { names.join(" alias ") };
            return Err(ReleaseMismatch::WrongSuite { wanted: wanted.to_owned(), found });
        }
        if self.date.duration_since(now) > MAX_CLOCK_SKEW {
            return Err(ReleaseMismatch::Future { date: self.date, now });
        }
        match self.valid_until {
            Some(valid_until) if check_valid_until && valid_until < now => {
                Err(ReleaseMismatch::Expired { valid_until, now })
            }
            _ => Ok(()),
        }
    }
}

/// A date as in RFC 2822, always UTC.
fn read_date(name: &'static str, field: &Field<'_>) -> Result<Timestamp, ReleaseError> {
    let bad = || ReleaseError::Value {
        line: field.line,
        field: name,
        value: excerpt(field.value),
        expected: "a date such as \"Sat, 12 Sep 2026 07:55:41 UTC\"",
    };
    if !["UTC", "GMT", "Z", "+0000"].iter().any(|zone| field.value.ends_with(zone)) {
        return Err(bad());
    }
    let parser = jiff::fmt::rfc2822::DateTimeParser::new();
    parser.parse_timestamp(field.value).map_err(|_| bad())
}

/// The lines `digest size path` of `SHA256`.
fn read_files(field: &Field<'_>) -> Result<BTreeMap<String, ReleaseFile>, ReleaseError> {
    let mut files = BTreeMap::new();
    for (line, text) in (field.line..).zip(field.lines()).filter(|(_, text)| !text.is_empty()) {
        let bad = || ReleaseError::Value {
            line: field.line,
            field: "SHA256",
            value: excerpt(text),
            expected: "of the form \"<64 hexadecimal digits> <size> <path>\"",
        };
        let mut words = text.split_ascii_whitespace();
        let (Some(digest), Some(size), Some(path), None) = (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(bad());
        };
        let file = ReleaseFile { digest: digest.parse().map_err(|_| bad())?, size: size.parse().map_err(|_| bad())? };
        if files.len() == MAX_FILES {
            return Err(ReleaseError::TooManyFiles { line: field.line });
        }
        if files.insert(path.to_owned(), file).is_some_and(|previous| previous != file) {
            return Err(ReleaseError::Contradiction { line, path: excerpt(path) });
        }
    }
    Ok(files)
}

fn excerpt(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn text() -> String {
        format!(
            "Origin: Debian\nSuite: stable-security\nCodename: trixie-security\nDate: Wed, 18 Nov 2026 22:17:43 \
             UTC\nValid-Until: Wed, 25 Nov 2026 22:17:43 UTC\nAcquire-By-Hash: yes\nArchitectures: amd64 \
             arm64\nComponents: updates/main updates/contrib\nSHA256:\n {DIGEST}        0 main/binary-amd64/Packages\n \
             {DIGEST} 20 main/binary-amd64/Packages.xz\n"
        )
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn problem(from: &str, to: &str) -> String {
        Release::parse(&text().replace(from, to)).expect_err("malformed").to_string()
    }

    #[test]
    fn reads_the_fields() {
        let release = Release::parse(&text()).expect("well-formed");
        assert_eq!(release.origin.as_deref(), Some("Debian"));
        assert_eq!(release.date, at("2026-11-18T22:17:43Z"));
        assert_eq!(release.valid_until, Some(at("2026-11-25T22:17:43Z")));
        assert!(release.acquire_by_hash);
        assert_eq!(release.architectures, ["amd64", "arm64"]);
        assert_eq!(release.files.len(), 2);
        assert_eq!(release.files["main/binary-amd64/Packages.xz"].size, 20);
    }

    #[test]
    fn checks_suite_and_time() {
        let release = Release::parse(&text()).expect("well-formed");
        let now = at("2026-11-20T00:00:00Z");
        assert_eq!(release.check("trixie-security", now, true), Ok(()));
        assert_eq!(release.check("stable-security", now, true), Ok(()));
        let wrong = release.check("trixie", now, true).expect_err("another suite");
        assert!(wrong.to_string().contains("release of trixie-security alias stable-security, not of trixie"));
        let late = at("2026-11-25T22:17:44Z");
        let expired = release.check("trixie-security", late, true).expect_err("expired");
        assert!(expired.to_string().contains("valid until 2026-11-25T22:17:43Z"));
        assert_eq!(release.check("trixie-security", late, false), Ok(()));
        assert_eq!(release.check("trixie-security", at("2026-11-25T22:17:43Z"), true), Ok(()));
        assert_eq!(release.check("trixie-security", at("2026-11-17T22:17:43Z"), true), Ok(()));
        let future = release.check("trixie-security", at("2026-11-17T22:17:42Z"), true).expect_err("future");
        assert!(future.to_string().contains("set this machine's clock"));
    }

    #[test]
    fn names_what_is_malformed() {
        assert_eq!(problem("Date: Wed, 18", "X: "), "line 1: the paragraph has no field \"Date\"");
        assert!(problem("Wed, 18 Nov 2026 22:17:43 UTC", "yesterday").starts_with("line 4: Date \"yesterday\" is not"));
        assert!(problem("18 Nov 2026 22:17:43 UTC", "18 Nov 2026 22:17:43 EST").starts_with("line 4: Date"));
        assert!(problem("SHA256:", "SHA1:").contains("no field \"SHA256\""));
        assert!(problem(" 20 main", " -20 main").starts_with("line 9: SHA256"));
        assert!(problem(" 20 main", " 20 a main").starts_with("line 9: SHA256"));
        assert!(problem(" 20 main", " 99999999999999999999 main").starts_with("line 9: SHA256"));
        assert!(problem(&DIGEST[..20], "abc").starts_with("line 9: SHA256"));
        assert!(problem("Packages.xz", "Packages").contains("lists \"main/binary-amd64/Packages\" twice"));
        assert!(Release::parse("A: b\n\nC: d\n").is_err());
    }

    proptest! {
        #[test]
        fn mutated_text_never_panics(at in 0usize..400, with in "[ -~\n]{0,6}", remove in 0usize..30) {
            let mut bytes = text().into_bytes();
            let at = at.min(bytes.len());
            let end = (at + remove).min(bytes.len());
            bytes.splice(at..end, with.bytes());
            let mutated = String::from_utf8(bytes).expect("ASCII");
            if let Ok(release) = Release::parse(&mutated) {
                let _ = release.check("trixie", release.date, true);
            }
        }

        #[test]
        fn arbitrary_values_never_panic(date in ".{0,40}", files in "\\PC{0,80}") {
            let _ = Release::parse(&format!("Date: {date} UTC\nSHA256: {files}\n"));
        }
    }
}
