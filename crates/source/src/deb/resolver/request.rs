//! The resolver's request, checked against the index, with names as numbers.

use super::ResolveError;
use crate::deb::dependency::is_package_name;
use crate::deb::index::{Index, NameId, RecordId};
use crate::deb::version;
use std::collections::{BTreeMap, BTreeSet};

/// The number of similar names that an error suggests.
const SUGGESTIONS: usize = 3;

/// A checked request.
pub(super) struct Request {
    /// Wanted packages with their acceptable versions, newest first; never empty.
    pub(super) wanted: BTreeMap<NameId, Vec<RecordId>>,
    /// The wanted names, sorted as strings: apt uses the order of its arguments, kiln that of a
    /// set.
    pub(super) order: Vec<NameId>,
    /// Excluded names: they count as installed, in the newest version if there is one.
    pub(super) assumed: BTreeSet<NameId>,
}

impl Request {
    pub(super) fn new(
        index: &Index,
        wanted: &BTreeSet<String>,
        exclude: &BTreeSet<String>,
    ) -> Result<Self, ResolveError> {
        let assumed: BTreeSet<NameId> = exclude.iter().filter_map(|name| index.find(name)).collect();
        let mut request = Self { wanted: BTreeMap::new(), order: vec![], assumed };
        for word in wanted {
            let (name, records) = find(index, word)?;
            if request.assumed.contains(&name) {
                return Err(ResolveError::WantedAndExcluded { name: index.name_text(name).to_owned() });
            }
            if !request.wanted.contains_key(&name) {
                request.order.push(name);
            }
            let known = request.wanted.entry(name).or_insert_with(|| records.clone());
            known.retain(|record| records.contains(record));
            if known.is_empty() {
                let versions = wanted.iter().filter(|other| other.starts_with(&format!("{}=", index.name_text(name))));
                let versions = versions.cloned().collect::<Vec<_>>().join(" and ");
                return Err(ResolveError::TwoVersions { versions });
            }
        }
        Ok(request)
    }
}

/// The package that a wanted word refers to, and its acceptable versions.
fn find(index: &Index, word: &str) -> Result<(NameId, Vec<RecordId>), ResolveError> {
    let (name, wanted) = word.split_once('=').map_or((word, None), |(name, version)| (name, Some(version)));
    if !is_package_name(name) {
        return Err(ResolveError::Malformed { word: word.to_owned(), reason: "it is not a package name".to_owned() });
    }
    if let Some(Err(error)) = wanted.map(version::validate) {
        return Err(ResolveError::Malformed { word: word.to_owned(), reason: error.to_string() });
    }
    let id = index.find(name).ok_or_else(|| unknown(index, name))?;
    let entry = &index.names[id.at()];
    if entry.versions.is_empty() {
        return only_provider(index, id).ok_or_else(|| unknown_or_virtual(index, id));
    }
    let Some(wanted) = wanted else { return Ok((id, entry.versions.clone())) };
    let exact = |record: &&RecordId| version::compare(index.version(**record), wanted).is_eq();
    entry.versions.iter().find(exact).map(|record| (id, vec![*record])).ok_or_else(|| ResolveError::NoSuchVersion {
        name: name.to_owned(),
        version: wanted.to_owned(),
        available: index.versions(name).join(", "),
    })
}

/// A virtual package that one package provides means that package, as in apt.
fn only_provider(index: &Index, name: NameId) -> Option<(NameId, Vec<RecordId>)> {
    let mut providers = providers(index, name).into_iter();
    let only = providers.next().filter(|_| providers.next().is_none())?;
    Some((only, index.names[only.at()].versions.clone()))
}

fn providers(index: &Index, name: NameId) -> BTreeSet<NameId> {
    index.names[name.at()].providers.iter().map(|provider| index.record(provider.by).name).collect()
}

fn unknown_or_virtual(index: &Index, name: NameId) -> ResolveError {
    let mut providers: Vec<&str> =
        providers(index, name).into_iter().map(|provider| index.name_text(provider)).collect();
    if providers.is_empty() {
        return unknown(index, index.name_text(name));
    }
    providers.sort_unstable();
    ResolveError::Virtual { name: index.name_text(name).to_owned(), providers: providers.join(", ") }
}

fn unknown(index: &Index, name: &str) -> ResolveError {
    let real = index.names.iter().filter(|entry| !entry.versions.is_empty());
    let near = kiln_suggest::near(name, real.map(|entry| &*entry.text));
    let near: Vec<String> = near.into_iter().take(SUGGESTIONS).map(|text| format!("{text:?}")).collect();
    let hint = if near.is_empty() { String::new() } else { format!(" (did you mean {}?)", near.join(" or ")) };
    ResolveError::Unknown { name: name.to_owned(), hint }
}

/// The rank of a provider of `target`, except for parts that change while choosing; lower is
/// better. It follows apt (`CompareProviders`): the package with that name before mere providers,
/// then essential and protected ones, then by priority.
pub(super) fn rank(index: &Index, request: &Request, record: RecordId, target: NameId) -> impl Ord + use<> {
    let provider = index.record(record);
    let excluded = request.assumed.contains(&provider.name);
    (!excluded, provider.name != target, !provider.essential, !provider.protected, provider.priority)
}
