//! The packages of a suite, prepared for the resolver: versions, provided names and relations.
//!
//! [`Index::read`] makes it.

use super::control::{Paragraph, Paragraphs};
use super::dependency::Operator;
use super::package::{Archive, MultiArch, Package, Priority, RelationFields};
use super::version::{self, Version};
use kiln_tree::Digest;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// The packages of a suite for one architecture.
#[derive(Debug)]
pub struct Index {
    pub(super) arch: Box<str>,
    pub(super) texts: Vec<String>,
    pub(super) records: Vec<Record>,
    /// In the order of their first occurrence, which is apt's last criterion.
    pub(super) names: Vec<Name>,
    by_name: HashMap<Arc<str>, NameId>,
    pub(super) targets: Vec<Target>,
}

/// A name that some package has, provides or relates to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NameId(pub(super) u32);

/// A paragraph of some text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RecordId(pub(super) u32);

impl NameId {
    pub(super) fn at(self) -> usize {
        index(self.0)
    }
}

impl RecordId {
    pub(super) fn at(self) -> usize {
        index(self.0)
    }
}

/// `usize` has at least 32 bits on every platform with an operating system.
pub(super) fn index(number: u32) -> usize {
    number as usize
}

/// A range of a text of less than 4 GiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    length: u32,
}

impl Span {
    /// The range of `part`, a slice of `text`.
    pub(super) fn of(text: &str, part: &str) -> Self {
        let start = part.as_ptr().addr().saturating_sub(text.as_ptr().addr());
        // Texts whose size does not fit 32 bits are rejected before they are read.
        let count = |number| u32::try_from(number).unwrap_or(0);
        Self { start: count(start), length: count(part.len()) }
    }

    pub(super) fn get(self, text: &str) -> &str {
        let start = index(self.start);
        text.get(start..start + index(self.length)).unwrap_or_default()
    }
}

/// One package in one version.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) name: NameId,
    /// The text in [`Index::texts`] that the spans refer to.
    pub(super) text: u16,
    pub(super) archive: Archive,
    pub(super) version: Span,
    /// The name of its first field.
    pub(super) paragraph: Span,
    pub(super) filename: Span,
    pub(super) size: u64,
    pub(super) sha256: Digest,
    pub(super) priority: Priority,
    pub(super) essential: bool,
    pub(super) protected: bool,
    pub(super) multi_arch: MultiArch,
    /// `Pre-Depends`, then `Depends`.
    pub(super) depends: Range<u32>,
    /// `Conflicts`, then `Breaks`.
    pub(super) conflicts: Range<u32>,
}

/// The packages that have or provide a name.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) text: Arc<str>,
    /// Newest first; empty for a name that is only provided or mentioned.
    pub(super) versions: Vec<RecordId>,
    pub(super) providers: Vec<Provider>,
}

/// A package that provides a name, optionally with a version.
#[derive(Debug, Clone, Copy)]
pub(super) struct Provider {
    pub(super) by: RecordId,
    pub(super) version: Option<Span>,
}

/// The target of a relation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    pub(super) name: NameId,
    pub(super) constraint: Option<(Operator, Span)>,
    /// Whether the next one is an alternative to this one.
    pub(super) or_next: bool,
}

impl Index {
    pub(super) fn empty(arch: &str) -> Self {
        let by_name = HashMap::with_capacity(100_000);
        Self { arch: arch.into(), texts: vec![], records: vec![], names: vec![], by_name, targets: vec![] }
    }

    /// The architecture of the index.
    pub fn arch(&self) -> &str {
        &self.arch
    }

    /// The number of packages; each version counts.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are no packages.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The versions of a package, newest first.
    pub fn versions(&self, name: &str) -> Vec<&str> {
        let versions = self.find(name).map_or(&[][..], |name| &self.names[name.at()].versions);
        versions.iter().map(|record| self.version(*record)).collect()
    }

    /// The package of that name and exact version.
    pub fn package(&self, name: &str, version: &str) -> Option<Package> {
        let versions = &self.names[self.find(name)?.at()].versions;
        let record = versions.iter().find(|record| self.version(**record) == version)?;
        self.materialize(*record)
    }

    pub(super) fn find(&self, name: &str) -> Option<NameId> {
        self.by_name.get(name).copied()
    }

    pub(super) fn record(&self, id: RecordId) -> &Record {
        &self.records[id.at()]
    }

    pub(super) fn name_text(&self, name: NameId) -> &str {
        &self.names[name.at()].text
    }

    pub(super) fn text_of(&self, id: RecordId) -> &str {
        &self.texts[usize::from(self.record(id).text)]
    }

    pub(super) fn version(&self, id: RecordId) -> &str {
        self.record(id).version.get(self.text_of(id))
    }

    /// Like [`Self::version`], while `reading`, the last text, is not yet in the index.
    pub(super) fn version_of<'t>(&'t self, id: RecordId, reading: &'t str) -> &'t str {
        let record = self.record(id);
        record.version.get(self.texts.get(usize::from(record.text)).map_or(reading, String::as_str))
    }

    /// The groups of alternatives that a record depends on.
    pub(super) fn depends(&self, id: RecordId) -> impl Iterator<Item = &[Target]> {
        self.slice(&self.record(id).depends).chunk_by(|one, _| one.or_next)
    }

    /// The targets that conflict with a record.
    pub(super) fn conflicts(&self, id: RecordId) -> &[Target] {
        self.slice(&self.record(id).conflicts)
    }

    fn slice(&self, range: &Range<u32>) -> &[Target] {
        &self.targets[index(range.start)..index(range.end)]
    }

    /// Whether version `have` satisfies `target`, a relation of `owner`.
    pub(super) fn accepts(&self, owner: RecordId, target: &Target, have: Option<&str>) -> bool {
        match (target.constraint, have) {
            (None, _) => true,
            (Some((operator, wanted)), Some(have)) => operator.holds(have, wanted.get(self.text_of(owner))),
            (Some(_), None) => false,
        }
    }

    /// The records that satisfy `target`, real packages first. A record may occur twice.
    pub(super) fn matching(&self, owner: RecordId, target: &Target) -> impl Iterator<Item = RecordId> {
        let name = &self.names[target.name.at()];
        let target = *target;
        let real = name.versions.iter().copied();
        let real = real.filter(move |record| self.accepts(owner, &target, Some(self.version(*record))));
        let provided = name.providers.iter().filter(move |provider| {
            self.accepts(owner, &target, provider.version.map(|version| version.get(self.text_of(provider.by))))
        });
        real.chain(provided.map(|provider| provider.by))
    }

    /// `foo (>= 2) | bar`, in the spelling of the index.
    pub(super) fn show(&self, owner: RecordId, group: &[Target]) -> String {
        let text = self.text_of(owner);
        let one = |target: &Target| {
            let name = self.name_text(target.name);
            target.constraint.map_or_else(
                || name.to_owned(),
                |(operator, version)| format!("{name} ({operator} {})", version.get(text)),
            )
        };
        group.iter().map(one).collect::<Vec<_>>().join(" | ")
    }

    pub(super) fn intern(&mut self, name: &str) -> NameId {
        if let Some(known) = self.by_name.get(name) {
            return *known;
        }
        // All texts together have less than 4 GiB, so there are fewer names than that.
        let id = NameId(u32::try_from(self.names.len()).unwrap_or(u32::MAX));
        let text: Arc<str> = name.into();
        self.by_name.insert(Arc::clone(&text), id);
        self.names.push(Name { text, versions: vec![], providers: vec![] });
        id
    }

    /// `name:any` and `name:<other architecture>` are separate names that only an explicit provider
    /// satisfies. A name qualified with the index's architecture or with `native` is the plain
    /// name.
    pub(super) fn intern_qualified(&mut self, name: &str, qualifier: Option<&str>) -> NameId {
        match qualifier {
            None | Some("native") => self.intern(name),
            Some(arch) if arch == &*self.arch => self.intern(name),
            Some(other) => self.intern(&format!("{name}:{other}")),
        }
    }

    pub(super) fn sort_versions(&mut self) {
        for number in 0..self.names.len() {
            let mut versions = std::mem::take(&mut self.names[number].versions);
            // The sort is stable: among equal versions in different spellings, the first one read
            // comes first.
            versions.sort_by(|a, b| version::compare(self.version(*b), self.version(*a)));
            self.names[number].versions = versions;
        }
    }

    /// The complete package. It is `None` only if the text changed since it was read, which is
    /// impossible.
    pub(super) fn materialize(&self, id: RecordId) -> Option<Package> {
        let record = self.record(id);
        let text = self.text_of(id);
        let mut paragraph = Paragraph::default();
        Paragraphs::new(text.get(index(record.paragraph.start)..)?).read(&mut paragraph).ok()?;
        let field = |name: &str| paragraph.get(name).unwrap_or_default().to_owned();
        let version: Version = self.version(id).parse().ok()?;
        // `Source: name (version)`; the version is present only if it differs.
        let source = field("Source");
        let (source, rest) = source.split_once('(').unwrap_or((&source, ""));
        let source_version = rest.trim_end().trim_end_matches(')').trim().parse().unwrap_or_else(|_| version.clone());
        let name = self.name_text(record.name).to_owned();
        Some(Package {
            source: if source.trim().is_empty() { name.clone() } else { source.trim().to_owned() },
            source_version,
            name,
            version,
            architecture: field("Architecture"),
            filename: record.filename.get(text).to_owned(),
            size: record.size,
            sha256: record.sha256,
            archive: record.archive,
            essential: record.essential,
            priority: record.priority,
            multi_arch: record.multi_arch,
            relations: RelationFields {
                pre_depends: field("Pre-Depends"),
                depends: field("Depends"),
                provides: field("Provides"),
                conflicts: field("Conflicts"),
                breaks: field("Breaks"),
                replaces: field("Replaces"),
            },
        })
    }
}
