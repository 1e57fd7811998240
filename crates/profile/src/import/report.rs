//! What became of each imported setting.

use serde::Serialize;
use std::fmt;

/// What became of one setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// Unchanged.
    Kept,
    /// Expressed in another way, or with another value.
    Translated,
    /// Left out without a loss.
    Dropped,
    /// Not expressible in a profile: the user must do something.
    Impossible,
}

/// One setting and its fate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its fate.
    pub fate: Fate,
    /// The setting as written: `--max-pods=110`, `evictionHard`.
    pub what: String,
    /// File and line.
    pub place: String,
    /// Its new form, as a path in the profile and a value; empty if there is none.
    pub to: String,
    /// The reason, with its source, or what to do.
    pub why: String,
    /// The minor release of Kubernetes 1 that removed it, if known.
    pub since: Option<u32>,
    /// Field of `KubeletConfiguration` whose value differs on the new node.
    pub differs: Option<String>,
}

/// All settings, in the order in which they were found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The entries.
    pub entries: Vec<Entry>,
}

impl Report {
    pub(super) fn add(&mut self, fate: Fate, what: impl Into<String>, place: impl ToString) -> &mut Entry {
        let entry = Entry {
            fate,
            what: what.into(),
            place: place.to_string(),
            to: String::new(),
            why: String::new(),
            since: None,
            differs: None,
        };
        self.entries.push(entry);
        let last = self.entries.len() - 1;
        &mut self.entries[last]
    }

    /// Removes the entry of a kept field that gets another fate, so that it is counted once.
    pub(super) fn moved(&mut self, field: &str) {
        self.entries.retain(|entry| !(entry.fate == Fate::Kept && entry.what == field && entry.to == "kubelet.config"));
    }

    /// The number of entries with this fate.
    pub fn count(&self, fate: Fate) -> usize {
        self.entries.iter().filter(|entry| entry.fate == fate).count()
    }

    /// Fields of `KubeletConfiguration` whose values differ between the old node and the new one.
    pub fn differing(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter_map(|entry| entry.differs.as_deref())
    }
}

impl Entry {
    pub(super) fn to(&mut self, to: impl Into<String>) -> &mut Self {
        self.to = to.into();
        self
    }

    pub(super) fn why(&mut self, why: impl Into<String>) -> &mut Self {
        self.why = why.into();
        self
    }

    pub(super) fn since(&mut self, release: u32) -> &mut Self {
        self.since = (release > 0).then_some(release);
        self
    }

    pub(super) fn differs(&mut self, field: &str) -> &mut Self {
        self.differs = Some(field.to_owned());
        self
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Kept => "kept",
            Self::Translated => "translated",
            Self::Dropped => "dropped",
            Self::Impossible => "to do",
        })
    }
}

/// One line: `translated --max-pods=110 → kubelet.config.maxPods: 110 (a.conf:3): why`.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:10} {}", self.fate, self.what)?;
        if !self.to.is_empty() {
            write!(f, " → {}", self.to)?;
        }
        if !self.place.is_empty() {
            write!(f, " ({})", self.place)?;
        }
        if let Some(minor) = self.since {
            write!(f, ", gone since 1.{minor}")?;
        }
        if !self.why.is_empty() {
            write!(f, ": {}", self.why)?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut entries: Vec<&Entry> = self.entries.iter().collect();
        entries.sort_by_key(|entry| entry.fate);
        for entry in entries {
            writeln!(f, "{entry}")?;
        }
        let count = |fate| self.count(fate);
        let (kept, translated, dropped, impossible) =
            (count(Fate::Kept), count(Fate::Translated), count(Fate::Dropped), count(Fate::Impossible));
        writeln!(f, "{kept} kept, {translated} translated, {dropped} dropped, {impossible} to do")
    }
}
