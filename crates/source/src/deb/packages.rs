//! Reads the `Packages` texts of a suite's archives into one [`Index`].
//!
//! A text has tens of thousands of paragraphs, of which an image needs two hundred. So the texts
//! are kept unchanged, and the index contains ranges of them, and names as numbers.

use super::control::{ControlError, Paragraph, Paragraphs};
use super::dependency::{Operator, RelationError, Relations, is_package_name};
use super::index::{Index, Provider, Record, RecordId, Span, Target};
use super::package::{Archive, MultiArch, Priority};
use super::version::{self, VersionError};
use kiln_tree::{Digest, DigestError};
use std::ops::Range;

/// Why a `Packages` text cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PackagesError {
    /// Not deb822, or a field is missing.
    #[error("package index of {archive}: {source}")]
    Control {
        /// The archive.
        archive: Archive,
        /// The location and the defect.
        source: ControlError,
    },
    /// A field has an invalid value.
    #[error("package index of {archive}: line {line}: field {field} of package {package:?}: {problem}")]
    Field {
        /// The archive.
        archive: Archive,
        /// Line of the field, from 1.
        line: usize,
        /// The field.
        field: String,
        /// The paragraph's package.
        package: String,
        /// The defect.
        problem: FieldProblem,
    },
    /// More than 4 GiB of text in all, or more than 65,535 texts.
    #[error("package index of {0}: it is too large")]
    TooLarge(Archive),
}

/// The defect of a field.
#[derive(Debug, thiserror::Error)]
pub enum FieldProblem {
    /// Not a package name.
    #[error("{0:?} is not a package name")]
    Name(String),
    /// Not a version.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// Not relations.
    #[error(transparent)]
    Relation(#[from] RelationError),
    /// Not a digest.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// Not a number.
    #[error("{0:?} is not a size in bytes")]
    Size(String),
    /// Not a path that may be appended to a mirror's URL.
    #[error("{0:?} is not a path below the archive's root")]
    Filename(String),
}

impl Index {
    /// Reads the texts in apt's order (`main`, `updates`, `security`): among equally good providers
    /// of a virtual package, apt chooses the one whose name occurred last.
    ///
    /// Paragraphs for other architectures than `arch` and `all` are ignored.
    ///
    /// # Errors
    /// A text is not an index of packages. Anything malformed is an error, since signed indexes are
    /// made by programs.
    pub fn read(arch: &str, texts: Vec<(Archive, String)>) -> Result<Self, PackagesError> {
        let mut index = Self::empty(arch);
        let mut total = 0_u32;
        for (archive, text) in texts {
            let length = u32::try_from(text.len()).ok();
            total = length.and_then(|length| total.checked_add(length)).ok_or(PackagesError::TooLarge(archive))?;
            Reader::new(&mut index, archive).read(&text)?;
            index.texts.push(text);
        }
        index.sort_versions();
        Ok(index)
    }
}

/// The fields that are read, in the order in which apt reads them and thus sees names.
const FIELDS: [&str; KEYS] = [
    "Package",
    "Version",
    "Architecture",
    "Filename",
    "Size",
    "SHA256",
    "Priority",
    "Essential",
    "Protected",
    "Multi-Arch",
    "Pre-Depends",
    "Depends",
    "Conflicts",
    "Breaks",
    "Recommends",
    "Suggests",
    "Replaces",
    "Enhances",
    "Provides",
];
const KEYS: usize = 19;
const PACKAGE: usize = 0;
const VERSION: usize = 1;
const ARCHITECTURE: usize = 2;
const FILENAME: usize = 3;
const SIZE: usize = 4;
const SHA256: usize = 5;
const PRIORITY: usize = 6;
const ESSENTIAL: usize = 7;
const PROTECTED: usize = 8;
const MULTI_ARCH: usize = 9;
const PRE_DEPENDS: usize = 10;
const CONFLICTS: usize = 12;
const RECOMMENDS: usize = 14;
const ENHANCES: usize = 17;
const PROVIDES: usize = 18;

/// Reads one text into the index.
struct Reader<'i> {
    index: &'i mut Index,
    archive: Archive,
    text_number: u16,
}

/// A paragraph's fields by key.
struct Stanza<'p, 'a> {
    paragraph: &'p Paragraph<'a>,
    at: [Option<u8>; KEYS],
}

impl<'p, 'a> Stanza<'p, 'a> {
    fn new(paragraph: &'p Paragraph<'a>) -> Self {
        let mut at = [None; KEYS];
        for (number, field) in paragraph.fields().iter().enumerate() {
            if let Some(key) = FIELDS.iter().position(|name| name.eq_ignore_ascii_case(field.name)) {
                at[key] = u8::try_from(number).ok();
            }
        }
        Self { paragraph, at }
    }

    fn get(&self, key: usize) -> Option<&'a str> {
        self.at[key].map(|number| self.paragraph.fields()[usize::from(number)].value)
    }

    fn line(&self, key: usize) -> usize {
        self.at[key].map_or(self.paragraph.line(), |number| self.paragraph.fields()[usize::from(number)].line)
    }
}

impl<'i> Reader<'i> {
    fn new(index: &'i mut Index, archive: Archive) -> Self {
        let text_number = u16::try_from(index.texts.len()).unwrap_or(u16::MAX);
        Self { index, archive, text_number }
    }

    fn read(&mut self, text: &str) -> Result<(), PackagesError> {
        let archive = self.archive;
        if self.text_number == u16::MAX {
            return Err(PackagesError::TooLarge(archive));
        }
        let mut paragraphs = Paragraphs::new(text);
        let mut paragraph = Paragraph::default();
        let control = |source| PackagesError::Control { archive, source };
        while paragraphs.read(&mut paragraph).map_err(control)? {
            self.read_paragraph(text, &Stanza::new(&paragraph))?;
        }
        Ok(())
    }

    fn read_paragraph(&mut self, text: &str, stanza: &Stanza<'_, '_>) -> Result<(), PackagesError> {
        let architecture = self.required(stanza, ARCHITECTURE)?;
        if architecture != "all" && architecture != &*self.index.arch {
            return Ok(());
        }
        let package = self.required(stanza, PACKAGE)?;
        if !is_package_name(package) {
            return Err(self.error(stanza, PACKAGE, FieldProblem::Name(shortened(package))));
        }
        let version = self.required(stanza, VERSION)?;
        version::validate(version).map_err(|error| self.error(stanza, VERSION, error.into()))?;
        let name = self.index.intern(package);
        if self.index.names[name.at()].versions.iter().any(|known| self.index.version_of(*known, text) == version) {
            return Ok(());
        }
        let multi_arch = MultiArch::parse(stanza.get(MULTI_ARCH).unwrap_or("no"));
        let depends = self.targets(text, stanza, PRE_DEPENDS..CONFLICTS)?;
        let conflicts = self.targets(text, stanza, CONFLICTS..RECOMMENDS)?;
        for key in RECOMMENDS..=ENHANCES {
            self.mention(stanza, key)?;
        }
        let record = Record {
            name,
            text: self.text_number,
            archive: self.archive,
            version: Span::of(text, version),
            paragraph: start_of(text, stanza),
            sha256: self.checked(stanza, SHA256, |value| Ok(value.parse::<Digest>()?))?,
            size: self
                .checked(stanza, SIZE, |value| value.parse().map_err(|_| FieldProblem::Size(shortened(value))))?,
            filename: self.checked(stanza, FILENAME, |value| {
                let problem = || FieldProblem::Filename(shortened(value));
                is_pool_path(value).then(|| Span::of(text, value)).ok_or_else(problem)
            })?,
            priority: Priority::parse(stanza.get(PRIORITY).unwrap_or_default()),
            essential: stanza.get(ESSENTIAL) == Some("yes"),
            protected: stanza.get(PROTECTED) == Some("yes"),
            multi_arch,
            depends,
            conflicts,
        };
        let id = RecordId(self.count(self.index.records.len())?);
        self.index.records.push(record);
        self.index.names[name.at()].versions.push(id);
        self.provide(text, stanza, id, multi_arch)
    }

    /// Stores the relations of the fields `keys`, one field after the other.
    fn targets(
        &mut self,
        text: &str,
        stanza: &Stanza<'_, '_>,
        keys: Range<usize>,
    ) -> Result<Range<u32>, PackagesError> {
        let start = self.count(self.index.targets.len())?;
        for key in keys {
            let field_start = self.index.targets.len();
            for relation in Relations::new(stanza.get(key).unwrap_or_default()) {
                let relation = relation.map_err(|error| self.error(stanza, key, error.into()))?;
                if relation.applies_on(&self.index.arch) {
                    let name = self.index.intern_qualified(relation.name, relation.qualifier);
                    let constraint = relation.constraint.map(|(operator, version)| (operator, Span::of(text, version)));
                    self.index.targets.push(Target { name, constraint, or_next: relation.or_next });
                } else if let Some(last) = self.index.targets[field_start..].last_mut() {
                    // The dropped alternative may have been its group's last.
                    last.or_next &= relation.or_next;
                }
            }
        }
        Ok(start..self.count(self.index.targets.len())?)
    }

    /// Records the names of a field that does not affect dependencies, as apt does.
    fn mention(&mut self, stanza: &Stanza<'_, '_>, key: usize) -> Result<(), PackagesError> {
        for relation in Relations::new(stanza.get(key).unwrap_or_default()) {
            let relation = relation.map_err(|error| self.error(stanza, key, error.into()))?;
            self.index.intern_qualified(relation.name, relation.qualifier);
        }
        Ok(())
    }

    /// Adds `Provides` and the `name:any` that `Multi-Arch: allowed` provides for the package and
    /// for what it provides.
    fn provide(
        &mut self,
        text: &str,
        stanza: &Stanza<'_, '_>,
        by: RecordId,
        multi_arch: MultiArch,
    ) -> Result<(), PackagesError> {
        let package = stanza.get(PACKAGE).unwrap_or_default();
        let own = stanza.get(VERSION).map(|version| Span::of(text, version));
        for relation in Relations::new(stanza.get(PROVIDES).unwrap_or_default()) {
            let relation = relation.map_err(|error| self.error(stanza, PROVIDES, error.into()))?;
            let version = match relation.constraint {
                None => None,
                Some((Operator::Equal, version)) => Some(Span::of(text, version)),
                // Policy 7.5 allows no other operator; apt ignores them.
                Some(_) => continue,
            };
            if multi_arch == MultiArch::Allowed && relation.qualifier.is_none() {
                self.add_provider(relation.name, Some("any"), by, version);
            }
            if relation.name != package || relation.qualifier.is_some() {
                self.add_provider(relation.name, relation.qualifier, by, version);
            }
        }
        if multi_arch == MultiArch::Allowed {
            self.add_provider(package, Some("any"), by, own);
        }
        Ok(())
    }

    fn add_provider(&mut self, name: &str, qualifier: Option<&str>, by: RecordId, version: Option<Span>) {
        let name = self.index.intern_qualified(name, qualifier);
        self.index.names[name.at()].providers.push(Provider { by, version });
    }

    fn required<'a>(&self, stanza: &Stanza<'_, 'a>, key: usize) -> Result<&'a str, PackagesError> {
        stanza.get(key).ok_or_else(|| {
            let problem = super::control::ControlProblem::Missing(FIELDS[key]);
            let source = ControlError { line: stanza.paragraph.line(), problem };
            PackagesError::Control { archive: self.archive, source }
        })
    }

    fn checked<T>(
        &self,
        stanza: &Stanza<'_, '_>,
        key: usize,
        check: impl FnOnce(&str) -> Result<T, FieldProblem>,
    ) -> Result<T, PackagesError> {
        check(self.required(stanza, key)?).map_err(|problem| self.error(stanza, key, problem))
    }

    fn error(&self, stanza: &Stanza<'_, '_>, key: usize, problem: FieldProblem) -> PackagesError {
        PackagesError::Field {
            archive: self.archive,
            line: stanza.line(key),
            field: FIELDS[key].to_owned(),
            package: shortened(stanza.get(PACKAGE).unwrap_or_default()),
            problem,
        }
    }

    fn count(&self, number: usize) -> Result<u32, PackagesError> {
        u32::try_from(number).map_err(|_| PackagesError::TooLarge(self.archive))
    }
}

/// Where the paragraph starts in `text`.
fn start_of(text: &str, stanza: &Stanza<'_, '_>) -> Span {
    Span::of(text, stanza.paragraph.fields().first().map_or("", |field| field.name))
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

/// A relative path without `.` and `..`, with characters that need no escaping in a URL's path.
fn is_pool_path(path: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/+-._~:%=@,".contains(&byte);
    path.len() <= 4096 && path.bytes().all(allowed) && !hides_dots(path) && path.split('/').all(is_pool_name)
}

fn is_pool_name(part: &str) -> bool {
    !matches!(part, "" | "." | "..")
}

/// Whether a dot or a slash is escaped as `%2e` or `%2f`, which a server would decode.
fn hides_dots(path: &str) -> bool {
    path.split('%').skip(1).any(|after| after.starts_with("2") && after[1..].starts_with(['e', 'E', 'f', 'F']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BASH: &str = "\
Package: bash
Source: bash-src (5.2)
Version: 5.2.15-2+b7
Architecture: amd64
Essential: yes
Multi-Arch: foreign
Priority: required
Pre-Depends: libc6 (>= 2.36), libtinfo6 (>= 6)
Depends: base-files (>= 2.1.12), debianutils (>= 5.6-0.1)
Replaces: bash-completion (<< 20060301-0),
 bash-doc (<= 2.05-1)
Description: GNU Bourne Again SHell
 long
Filename: pool/main/b/bash/bash_5.2.15-2+b7_amd64.deb
Size: 1491084
SHA256: 85ad2cfa1ae3ab9eb6b8bfb7d2d1dd2ae0ef0b0ba5b8b3c8ff0b9c4c6e9d2a11
";

    fn read(texts: &[&str]) -> Result<Index, PackagesError> {
        let archives = [Archive::Main, Archive::Updates, Archive::Security];
        Index::read("amd64", archives.into_iter().zip(texts.iter().map(|text| (*text).to_owned())).collect())
    }

    #[test]
    fn reads_every_field() {
        let index = read(&[BASH]).expect("well-formed");
        let bash = index.package("bash", "5.2.15-2+b7").expect("there");
        assert_eq!(bash.to_string(), "bash 5.2.15-2+b7");
        assert_eq!((bash.source.as_str(), bash.source_version.as_str()), ("bash-src", "5.2"));
        assert_eq!((bash.architecture.as_str(), bash.archive), ("amd64", Archive::Main));
        assert_eq!((bash.essential, bash.priority, bash.multi_arch), (true, Priority::Required, MultiArch::Foreign));
        assert_eq!((bash.filename.as_str(), bash.size), ("pool/main/b/bash/bash_5.2.15-2+b7_amd64.deb", 1_491_084));
        assert!(bash.sha256.to_string().starts_with("85ad2cfa"));
        assert_eq!(bash.relations.pre_depends, "libc6 (>= 2.36), libtinfo6 (>= 6)");
        assert_eq!(Relations::new(&bash.relations.replaces).count(), 2);
    }

    #[test]
    fn versions_are_newest_first_without_duplicates_across_archives() {
        let old = BASH.replace("5.2.15-2+b7", "5.2.15-2");
        let index = read(&[BASH, &old, BASH]).expect("well-formed");
        assert_eq!(index.versions("bash"), ["5.2.15-2+b7", "5.2.15-2"]);
        assert_eq!(index.len(), 2);
        assert_eq!(index.package("bash", "5.2.15-2").expect("there").archive, Archive::Updates);
        assert_eq!(index.package("bash", "5.2.15-2+b7").expect("there").archive, Archive::Main);
        assert!(index.versions("libc6").is_empty());
    }

    #[test]
    fn other_architectures_are_ignored() {
        let text =
            [BASH, &BASH.replace("amd64", "i386"), &BASH.replace("bash", "sh").replace("amd64", "all")].join("\n");
        let index = read(&[&text]).expect("well-formed");
        assert_eq!((index.len(), index.versions("sh").len()), (2, 1));
    }

    #[test]
    fn errors_name_archive_line_field_and_package() {
        let message = |from: &str, to: &str| {
            let text = format!("{}\n{}", BASH.replace("bash", "sh"), BASH.replace(from, to));
            read(&[&text]).expect_err(to).to_string()
        };
        assert_eq!(
            message("Size: 1491084", "Size: -1"),
            "package index of main: line 32: field Size of package \"bash\": \"-1\" is not a size in bytes"
        );
        assert!(message("SHA256: 85", "SHA256: x").contains("line 33: field SHA256"));
        assert!(message("Version: 5.2.15-2+b7", "Version: 5_2").contains("only letters, digits"));
        assert!(message("Package: bash", "Package: b/sh").contains("\"b/sh\" is not a package name"));
        assert!(
            message("libtinfo6 (>= 6)", "libtinfo6 (>= 6")
                .contains("field Pre-Depends of package \"bash\": \"libtinfo6")
        );
        assert_eq!(
            message("Filename: pool/main/b/bash/bash_5.2.15-2+b7_amd64.deb\n", ""),
            "package index of main: line 18: the paragraph has no field \"Filename\""
        );
        assert!(message("Size: 1491084", "junk").contains("package index of main: line 32: \"junk\""));
    }

    #[test]
    fn paths_that_leave_the_archive_or_change_the_url_are_rejected() {
        for bad in [
            "/etc/passwd",
            "pool/../../x",
            "pool//x",
            "pool/./x",
            "..",
            "",
            "pool/x?y",
            "pool/x#y",
            "pool/%2e%2e/x",
            "pool/%2Fx",
            "pool/x y",
            "pool\\x",
            "http://x/y",
        ] {
            assert!(!is_pool_path(bad), "{bad}");
            let text = BASH.replace("pool/main/b/bash/bash_5.2.15-2+b7_amd64.deb", bad);
            assert!(read(&[&text]).is_err(), "{bad}");
        }
        assert!(is_pool_path("pool/main/g/g++/g++_4%3a12.2.0-3_amd64.deb") && is_pool_path("./x").eq(&false));
    }

    #[test]
    fn a_dropped_alternative_leaves_its_group_intact() {
        let text = BASH.replace("libtinfo6 (>= 6)", "a [i386] | b | c [i386], d [!amd64], e [amd64]");
        let index = read(&[&text]).expect("well-formed");
        let shown: Vec<String> = index.depends(RecordId(0)).map(|group| index.show(RecordId(0), group)).collect();
        assert_eq!(shown, ["libc6 (>= 2.36)", "b", "e", "base-files (>= 2.1.12)", "debianutils (>= 5.6-0.1)"]);
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in ".*") {
            let _ = read(&[&text]);
        }

        #[test]
        fn mutated_paragraphs_never_panic(cut in 0..BASH.len(), length in 0..40_usize, insert in "[a-z0-9:,|()<>=~ \n\\[\\]äé/.-]{0,12}") {
            let end = (cut + length).min(BASH.len());
            let text = format!("{}{insert}{}", &BASH[..cut], &BASH[end..]);
            if let Ok(index) = read(&[&text, BASH]) {
                for version in index.versions("bash") {
                    prop_assert!(index.package("bash", version).is_some());
                }
            }
        }
    }
}
