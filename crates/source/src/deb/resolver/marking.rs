//! apt's algorithm for choosing packages: mark the wanted packages, then, depth first, their
//! dependencies.
//!
//! `apt-get install --no-install-recommends` into an empty system chooses in one pass and never
//! revises a decision (`pkgDepCache::MarkInstall`, the same in apt 2.6 and 3.0). This module
//! follows its rules:
//!
//! - Only the newest version of a name is a candidate, or the requested version.
//! - Wanted packages are marked first, so that they can satisfy dependencies; then the dependencies
//!   of each, in the order of the request. A dependency that a marked package satisfies adds
//!   nothing.
//! - The first alternative that can be marked is chosen. Among the providers of a name, the order
//!   is: protected packages (wanted, or the only way to satisfy a protected package), the package
//!   with that name, essential packages, packages of higher priority, and last the package whose
//!   name occurred last.
//! - A package that conflicts with a protected package is no longer a candidate; any other
//!   conflicting package is unmarked, so later choices win.
//! - A package with a dependency that no candidate satisfies is not a candidate.
//! - A package that was marked for an attempt that failed, and that nothing else needs, is removed
//!   at the end.
//!
//! The result may be inconsistent. apt then repairs it by scores; kiln searches instead, see
//! [`super::sat`].

use super::request::Request;
use crate::deb::index::{Index, NameId, RecordId, Target};
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// Chains of first choices that are deeper than any in Debian are left to the search, as apt leaves
/// them to its repairs.
const MAX_DEPTH: u32 = 3000;
/// The stack size: enough for [`MAX_DEPTH`] in a build without optimization.
const STACK_BYTES: usize = 64 << 20;

/// Returns the packages that apt would mark; `None` if the thread for it cannot be started.
pub(super) fn mark(index: &Index, request: &Request) -> Option<BTreeSet<RecordId>> {
    std::thread::scope(|scope| {
        let marking = std::thread::Builder::new().stack_size(STACK_BYTES);
        marking.spawn_scoped(scope, || Marking::new(index, request).run()).ok()?.join().ok()
    })
}

#[derive(Debug, Clone, Copy)]
struct State {
    /// The version that may be marked.
    candidate: Option<RecordId>,
    /// The version that is marked.
    marked: Option<RecordId>,
    /// No longer marked or unmarked by other packages.
    protected: bool,
}

struct Marking<'i> {
    index: &'i Index,
    request: &'i Request,
    states: Vec<State>,
}

/// The packages that may satisfy a relation.
#[derive(Clone, Copy)]
enum Among {
    Marked,
    Candidates,
}

impl<'i> Marking<'i> {
    fn new(index: &'i Index, request: &'i Request) -> Self {
        let newest = |versions: &[RecordId]| versions.first().copied();
        let mut states: Vec<State> = index
            .names
            .iter()
            .map(|name| State { candidate: newest(&name.versions), marked: None, protected: false })
            .collect();
        for name in &request.assumed {
            let state = &mut states[name.at()];
            state.marked = state.candidate;
        }
        for (name, versions) in &request.wanted {
            let candidate = newest(versions);
            states[name.at()] = State { candidate, marked: candidate, protected: true };
        }
        Self { index, request, states }
    }

    fn run(mut self) -> BTreeSet<RecordId> {
        for name in &self.request.order {
            self.mark_needs(*name, 0, true);
        }
        self.needed()
    }

    fn candidate(&self, name: NameId) -> Option<RecordId> {
        self.states[name.at()].candidate
    }

    fn is_assumed(&self, name: NameId) -> bool {
        self.request.assumed.contains(&name)
    }

    fn in_state(&self, record: RecordId, among: Among) -> bool {
        let state = &self.states[self.index.record(record).name.at()];
        Some(record)
            == match among {
                Among::Marked => state.marked,
                Among::Candidates => state.candidate,
            }
    }

    fn satisfied(&self, owner: RecordId, target: &Target, among: Among) -> bool {
        self.is_assumed(target.name) || self.index.matching(owner, target).any(|record| self.in_state(record, among))
    }

    fn group_satisfied(&self, owner: RecordId, group: &[Target], among: Among) -> bool {
        group.iter().any(|target| self.satisfied(owner, target, among))
    }

    /// The packages in `among` that a relation of `owner` forbids.
    fn forbidden(&self, owner: RecordId, target: &Target, among: Among) -> Vec<NameId> {
        let own = self.index.record(owner).name;
        let names = self.index.matching(owner, target).filter(|record| self.in_state(*record, among));
        let mut names: Vec<NameId> = names.map(|record| self.index.record(record).name).collect();
        names.retain(|name| *name != own && !self.is_assumed(*name));
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Whether a marked package lacks a dependency or has a conflict.
    fn is_broken(&self, record: RecordId) -> bool {
        self.index.depends(record).any(|group| !self.group_satisfied(record, group, Among::Marked))
            || self
                .index
                .conflicts(record)
                .iter()
                .any(|target| !self.forbidden(record, target, Among::Marked).is_empty())
    }

    /// Marks a package and its dependencies; returns false if that is impossible.
    fn mark(&mut self, name: NameId, depth: u32) -> bool {
        let state = self.states[name.at()];
        let Some(candidate) = state.candidate else { return false };
        if self.is_assumed(name) {
            return true;
        }
        if depth > MAX_DEPTH || state.protected && state.marked.is_none() {
            return false;
        }
        if !state.protected && state.marked == Some(candidate) && !self.is_broken(candidate) {
            return true;
        }
        self.mark_needs(name, depth, false)
    }

    /// Marks the dependencies of a package, and the package itself if it is not marked. With
    /// `wanted`, it continues after a failure.
    fn mark_needs(&mut self, name: NameId, depth: u32, wanted: bool) -> bool {
        let Some(record) = self.candidate(name) else { return false };
        let protected = self.states[name.at()].protected;
        if !self.can_be_satisfied(record) {
            if !protected {
                self.states[name.at()] = State { candidate: None, marked: None, protected };
            }
            return false;
        }
        let persist = protected || wanted;
        let groups: Vec<&[Target]> = self
            .index
            .depends(record)
            .filter(|group| protected || !self.group_satisfied(record, group, Among::Marked))
            .collect();
        let cleared = self.clear_conflicts(record, protected, persist);
        if !cleared && !persist {
            return false;
        }
        self.states[name.at()].marked = Some(record);
        // A package that is being marked must not be unmarked by its dependencies.
        self.states[name.at()].protected = true;
        let complete = self.mark_groups(record, &groups, depth, protected, persist);
        self.states[name.at()].protected = protected;
        if !complete && !persist {
            self.states[name.at()] = State { candidate: None, marked: None, protected };
        }
        cleared && complete
    }

    fn can_be_satisfied(&self, record: RecordId) -> bool {
        self.index.depends(record).all(|group| {
            self.group_satisfied(record, group, Among::Marked) || self.group_satisfied(record, group, Among::Candidates)
        })
    }

    /// Unmarks packages that conflict with a package; permanently if the package is `protected`.
    fn clear_conflicts(&mut self, record: RecordId, protected: bool, persist: bool) -> bool {
        let mut cleared = true;
        for target in self.index.conflicts(record) {
            if !protected && self.forbidden(record, target, Among::Marked).is_empty() {
                continue;
            }
            for other in self.forbidden(record, target, Among::Candidates) {
                let state = &mut self.states[other.at()];
                if state.marked.is_some() && state.protected {
                    cleared = false;
                    if !persist {
                        return false;
                    }
                    continue;
                }
                state.marked = None;
                if protected {
                    *state = State { candidate: None, marked: None, protected: true };
                }
            }
        }
        cleared
    }

    fn mark_groups(
        &mut self,
        owner: RecordId,
        groups: &[&[Target]],
        depth: u32,
        protected: bool,
        persist: bool,
    ) -> bool {
        let mut complete = true;
        for group in groups {
            let met = if self.group_satisfied(owner, group, Among::Marked) {
                !protected || self.protect_only_choice(owner, group, depth)
            } else {
                self.mark_first_choice(owner, group, depth, protected)
            };
            complete &= met;
            if !met && !persist {
                return false;
            }
        }
        complete
    }

    /// A satisfied dependency of a protected package protects the one package that can satisfy it.
    fn protect_only_choice(&mut self, owner: RecordId, group: &[Target], depth: u32) -> bool {
        if group.iter().any(|target| self.is_assumed(target.name)) {
            return true;
        }
        let choices: BTreeSet<RecordId> = self.choices(owner, group).into_iter().collect();
        let Some(only) = choices.first().copied().filter(|_| choices.len() == 1) else { return true };
        let name = self.index.record(only).name;
        if self.is_assumed(name) || std::mem::replace(&mut self.states[name.at()].protected, true) {
            return true;
        }
        self.mark(name, depth + 1)
    }

    fn mark_first_choice(&mut self, owner: RecordId, group: &[Target], depth: u32, protected: bool) -> bool {
        let choices = self.choices(owner, group);
        for choice in &choices {
            let name = self.index.record(*choice).name;
            if self.candidate(name) != Some(*choice) {
                continue;
            }
            if protected && choices.len() == 1 {
                self.states[name.at()].marked = Some(*choice);
                self.states[name.at()].protected = true;
            }
            if self.mark(name, depth + 1) {
                return true;
            }
        }
        false
    }

    /// The candidates that satisfy a group, best first.
    fn choices(&self, owner: RecordId, group: &[Target]) -> Vec<RecordId> {
        let mut choices: Vec<RecordId> = vec![];
        for target in group {
            let mut records: Vec<RecordId> = self.index.matching(owner, target).collect();
            records.retain(|record| self.in_state(*record, Among::Candidates));
            records.sort_by_cached_key(|record| self.rank(*record, target.name));
            choices.extend(records);
        }
        choices.dedup();
        choices.retain(|record| {
            let state = &self.states[self.index.record(*record).name.at()];
            !state.protected || state.marked.is_some()
        });
        choices
    }

    /// A sort key; lower is better.
    fn rank(&self, record: RecordId, target: NameId) -> impl Ord + use<> {
        let name = self.index.record(record).name;
        (
            !self.states[name.at()].protected,
            super::request::rank(self.index, self.request, record, target),
            Reverse(name),
        )
    }

    /// The marked packages that a wanted or essential package needs, directly or indirectly.
    fn needed(&self) -> BTreeSet<RecordId> {
        let is_root = |name: &NameId, record: RecordId| {
            let record = self.index.record(record);
            self.request.wanted.contains_key(name) || record.essential || record.protected
        };
        let marked = self.states.iter().zip(0..).filter_map(|(state, number)| Some((NameId(number), state.marked?)));
        let marked = marked.filter(|(name, _)| !self.is_assumed(*name));
        let mut open: Vec<RecordId> = marked.filter(|(name, record)| is_root(name, *record)).map(|one| one.1).collect();
        let mut needed: BTreeSet<RecordId> = open.iter().copied().collect();
        while let Some(record) = open.pop() {
            for target in self.index.depends(record).flatten() {
                for other in self.index.matching(record, target) {
                    let assumed = self.is_assumed(self.index.record(other).name);
                    if !assumed && self.in_state(other, Among::Marked) && needed.insert(other) {
                        open.push(other);
                    }
                }
            }
        }
        needed
    }
}
