//! Searches for a consistent set with `resolvo` if apt's first choices do not lead to one.
//!
//! A relation becomes the set of records that satisfy it, including providers, so the solver does
//! not need to know about virtual packages. Candidates are in apt's order: those that
//! [`super::marking`] chose come first, and versions that are not the newest of their package come
//! last.

use super::request::{Request, rank};
use crate::deb::index::{Index, NameId, RecordId, Target};
use resolvo::{
    Candidates, Condition, ConditionId, ConditionalRequirement, Dependencies, DependencyProvider,
    HintDependenciesAvailable, Interner, KnownDependencies, Problem, Requirement, Solver, SolverCache, StringId,
    UnsolvableOrCancelled, VersionSetId, VersionSetUnionId,
};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt::Display;

/// The rounds of propagation after which the search stops; Debian's largest sets need a few
/// thousand.
const MAX_ROUNDS: u32 = 1_000_000;

/// Why there is no set.
pub(super) enum Failure {
    /// There is none; the reasons as sentences.
    Impossible(Vec<String>),
    /// None was found within [`MAX_ROUNDS`].
    TooHard,
}

/// Searches for a consistent set.
pub(super) fn solve(
    index: &Index,
    request: &Request,
    preferred: &BTreeSet<RecordId>,
) -> Result<BTreeSet<RecordId>, Failure> {
    let encoding = Encoding {
        index,
        request,
        preferred,
        sets: RefCell::default(),
        unions: RefCell::default(),
        rounds: Cell::new(0),
    };
    let requirement = |name: &NameId| {
        let records = request.wanted.get(name).cloned().unwrap_or_default();
        encoding.set(*name, records, index.name_text(*name).to_owned()).into()
    };
    let requirements = request.order.iter().map(requirement).collect();
    let mut solver = Solver::new(encoding);
    match solver.solve(Problem::new().requirements(requirements)) {
        Ok(solution) => Ok(solution.into_iter().map(to_record).collect()),
        Err(UnsolvableOrCancelled::Cancelled(_)) => Err(Failure::TooHard),
        Err(UnsolvableOrCancelled::Unsolvable(conflict)) => {
            let graph = conflict.graph(&solver);
            Err(Failure::Impossible(super::explain::sentences(&graph, solver.provider())))
        }
    }
}

fn to_record(id: resolvo::SolvableId) -> RecordId {
    RecordId(id.into_raw())
}

fn to_solvable(id: RecordId) -> resolvo::SolvableId {
    resolvo::SolvableId::from_raw(id.0)
}

/// A set of versions of one package.
pub(super) struct VersionSet {
    name: NameId,
    records: Vec<RecordId>,
    /// The relation that it belongs to, in the spelling of the index.
    pub(super) text: String,
}

/// The index encoded for the solver.
pub(super) struct Encoding<'i> {
    pub(super) index: &'i Index,
    request: &'i Request,
    preferred: &'i BTreeSet<RecordId>,
    sets: RefCell<Vec<VersionSet>>,
    unions: RefCell<Vec<Vec<VersionSetId>>>,
    rounds: Cell<u32>,
}

impl Encoding<'_> {
    /// The relation that a requirement stands for.
    pub(super) fn relation(&self, requirement: Requirement) -> String {
        let set = match requirement {
            Requirement::Single(set) => Some(set),
            Requirement::Union(union) => self.version_sets_in_union(union).next(),
        };
        set.map(|set| self.set_text(set)).unwrap_or_default()
    }

    pub(super) fn set_text(&self, set: VersionSetId) -> String {
        self.sets.borrow().get(at(set.0)).map(|set| set.text.clone()).unwrap_or_default()
    }

    fn set(&self, name: NameId, records: Vec<RecordId>, text: String) -> VersionSetId {
        let mut sets = self.sets.borrow_mut();
        sets.push(VersionSet { name, records, text });
        VersionSetId(number(sets.len() - 1))
    }

    fn is_candidate(&self, record: RecordId) -> bool {
        let name = self.index.record(record).name;
        let versions = self.request.wanted.get(&name).unwrap_or(&self.index.names[name.at()].versions);
        versions.first() == Some(&record)
    }

    /// The records that satisfy a group, best first. `None` if the group is always satisfied.
    fn choices(&self, owner: RecordId, group: &[Target]) -> Option<Vec<RecordId>> {
        let mut choices = vec![];
        for (alternative, target) in group.iter().enumerate() {
            if self.request.assumed.contains(&target.name) {
                return None;
            }
            for record in self.index.matching(owner, target) {
                let name = self.index.record(record).name;
                if self.request.assumed.contains(&name) || name == self.index.record(owner).name && record == owner {
                    return None;
                }
                let order = (
                    !self.preferred.contains(&record),
                    !self.is_candidate(record),
                    alternative,
                    rank(self.index, self.request, record, target.name),
                    Reverse(name),
                );
                choices.push((order, record));
            }
        }
        choices.sort();
        let mut seen = BTreeSet::new();
        Some(choices.into_iter().map(|choice| choice.1).filter(|record| seen.insert(*record)).collect())
    }

    fn requirement(&self, owner: RecordId, group: &[Target]) -> Option<ConditionalRequirement> {
        let choices = self.choices(owner, group)?;
        let text = self.index.show(owner, group);
        let name = |record: &RecordId| self.index.record(*record).name;
        let runs = choices.chunk_by(|one, other| name(one) == name(other));
        let sets: Vec<VersionSetId> =
            runs.filter_map(|run| Some(self.set(name(run.first()?), run.to_vec(), text.clone()))).collect();
        Some(match sets.as_slice() {
            [] => self.set(group.first()?.name, vec![], text).into(),
            [only] => (*only).into(),
            _ => {
                let mut unions = self.unions.borrow_mut();
                unions.push(sets);
                VersionSetUnionId(number(unions.len() - 1)).into()
            }
        })
    }

    /// For each package with forbidden versions, the set of its other versions.
    fn constrains(&self, owner: RecordId) -> Vec<VersionSetId> {
        let own = self.index.record(owner).name;
        let mut sets = vec![];
        for target in self.index.conflicts(owner) {
            let forbidden: BTreeSet<RecordId> = self.index.matching(owner, target).collect();
            let mut names: Vec<NameId> = forbidden.iter().map(|record| self.index.record(*record).name).collect();
            names.sort_unstable();
            names.dedup();
            for name in names.into_iter().filter(|name| *name != own && !self.request.assumed.contains(name)) {
                let versions = &self.index.names[name.at()].versions;
                let allowed = versions.iter().copied().filter(|record| !forbidden.contains(record)).collect();
                sets.push(self.set(name, allowed, self.index.show(owner, std::slice::from_ref(target))));
            }
        }
        sets
    }
}

fn at(number: u32) -> usize {
    crate::deb::index::index(number)
}

/// The solver's own numbers have 32 bits; memory runs out long before.
fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

impl Interner for Encoding<'_> {
    type NameId = resolvo::NameId;
    type SolvableId = resolvo::SolvableId;

    fn display_solvable(&self, solvable: resolvo::SolvableId) -> impl Display + '_ {
        let record = to_record(solvable);
        format!("{} {}", self.index.name_text(self.index.record(record).name), self.index.version(record))
    }

    fn display_name(&self, name: resolvo::NameId) -> impl Display + '_ {
        self.index.name_text(NameId(name.into_raw()))
    }

    fn display_version_set(&self, set: VersionSetId) -> impl Display + '_ {
        self.set_text(set)
    }

    fn display_string(&self, _: StringId) -> impl Display + '_ {
        ""
    }

    fn version_set_name(&self, set: VersionSetId) -> resolvo::NameId {
        resolvo::NameId::from_raw(self.sets.borrow()[at(set.0)].name.0)
    }

    fn solvable_name(&self, solvable: resolvo::SolvableId) -> resolvo::NameId {
        resolvo::NameId::from_raw(self.index.record(to_record(solvable)).name.0)
    }

    fn version_sets_in_union(&self, union: VersionSetUnionId) -> impl Iterator<Item = VersionSetId> {
        self.unions.borrow()[at(union.0)].clone().into_iter()
    }

    fn resolve_condition(&self, _: ConditionId) -> Condition {
        // No requirement has a condition, so this is never called.
        Condition::Requirement(VersionSetId(0))
    }
}

impl DependencyProvider for Encoding<'_> {
    async fn filter_candidates(
        &self,
        candidates: &[resolvo::SolvableId],
        set: VersionSetId,
        inverse: bool,
    ) -> Vec<resolvo::SolvableId> {
        let sets = self.sets.borrow();
        let records = &sets[at(set.0)].records;
        candidates.iter().copied().filter(|one| records.contains(&to_record(*one)) != inverse).collect()
    }

    async fn get_candidates(&self, name: resolvo::NameId) -> Option<Candidates> {
        let versions = &self.index.names[at(name.into_raw())].versions;
        Some(Candidates {
            candidates: versions.iter().copied().map(to_solvable).collect(),
            hint_dependencies_available: HintDependenciesAvailable::None,
            ..Candidates::default()
        })
    }

    async fn sort_candidates(&self, _: &SolverCache<Self>, solvables: &mut [resolvo::SolvableId]) {
        solvables.sort_by_cached_key(|one| {
            let record = to_record(*one);
            let versions = &self.index.names[self.index.record(record).name.at()].versions;
            let age = versions.iter().position(|version| *version == record);
            (!self.preferred.contains(&record), !self.is_candidate(record), age)
        });
    }

    async fn get_dependencies(&self, solvable: resolvo::SolvableId) -> Dependencies {
        let record = to_record(solvable);
        Dependencies::Known(KnownDependencies {
            requirements: self.index.depends(record).filter_map(|group| self.requirement(record, group)).collect(),
            constrains: self.constrains(record),
        })
    }

    fn should_cancel_with_value(&self) -> Option<Box<dyn Any>> {
        self.rounds.set(self.rounds.get() + 1);
        (self.rounds.get() > MAX_ROUNDS).then(|| Box::new(()) as Box<dyn Any>)
    }
}
