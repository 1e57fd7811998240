//! Converts the solver's proof that there is no consistent set into sentences.

use super::sat::Encoding;
use resolvo::conflict::{ConflictCause, ConflictEdge, ConflictGraph, ConflictNode};
use resolvo::{Interner, SolvableId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The most reasons that are listed; further ones are variations.
const MAX_SENTENCES: usize = 4;

/// Returns one sentence for each missing or conflicting package, with the chains of dependencies
/// that lead to it.
pub(super) fn sentences(graph: &ConflictGraph, encoding: &Encoding<'_>) -> Vec<String> {
    let chains = Chains::new(graph, encoding);
    let mut found = BTreeSet::new();
    let mut instances: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for edge in graph.graph.raw_edges() {
        let (source, target) = (edge.source().index(), edge.target().index());
        match edge.weight {
            ConflictEdge::Requires(requirement) if Some(edge.target()) == graph.unresolved_node => {
                let relation = encoding.relation(requirement);
                let exists = existing(encoding, &relation);
                found.insert((
                    0,
                    format!("{} depends on {relation}, which no package satisfies{exists}", chains.to(source)),
                ));
            }
            ConflictEdge::Conflict(ConflictCause::Constrains(set)) => {
                let relation = encoding.set_text(set);
                let (one, other) = (chains.to(source), chains.to(target));
                found.insert((1, format!("{one} conflicts with {relation}, but {other}")));
            }
            ConflictEdge::Conflict(ConflictCause::ForbidMultipleInstances) => {
                for node in [source, target] {
                    if let Some(ConflictNode::Solvable(solvable)) = chains.node(node) {
                        let name = encoding.display_solvable_name(solvable).to_string();
                        instances.entry(name).or_default().insert(chains.to(node));
                    }
                }
            }
            ConflictEdge::Requires(_) | ConflictEdge::Conflict(_) => {}
        }
    }
    for (name, reasons) in instances {
        let reasons = reasons.into_iter().collect::<Vec<_>>().join(", but ");
        found.insert((2, format!("only one version of {name} can be installed: {reasons}")));
    }
    found.into_iter().take(MAX_SENTENCES).map(|(_, sentence)| sentence).collect()
}

/// For a relation that nothing satisfies: the existing versions of the package that it names.
fn existing(encoding: &Encoding<'_>, relation: &str) -> String {
    let names = relation.split('|').filter_map(|one| one.split_whitespace().next());
    let known = names.filter_map(|name| {
        let versions = encoding.index.versions(name);
        (!versions.is_empty()).then(|| format!("{name} {}", versions.join(", ")))
    });
    let known = known.collect::<Vec<_>>().join("; ");
    if known.is_empty() { String::new() } else { format!(" (available: {known})") }
}

/// For each node, the shortest chain of dependencies from a wanted package.
struct Chains<'g, 'i> {
    graph: &'g ConflictGraph,
    encoding: &'g Encoding<'i>,
    /// Node → the node and the relation through which it is reached.
    previous: BTreeMap<usize, (usize, String)>,
}

impl<'g, 'i> Chains<'g, 'i> {
    fn new(graph: &'g ConflictGraph, encoding: &'g Encoding<'i>) -> Self {
        let mut onward: BTreeMap<usize, Vec<(String, usize)>> = BTreeMap::new();
        for edge in graph.graph.raw_edges() {
            if let ConflictEdge::Requires(requirement) = edge.weight {
                let step = (encoding.relation(requirement), edge.target().index());
                onward.entry(edge.source().index()).or_default().push(step);
            }
        }
        let root = graph.root_node.index();
        let mut previous = BTreeMap::new();
        let mut open = VecDeque::from([root]);
        while let Some(node) = open.pop_front() {
            let mut steps = onward.remove(&node).unwrap_or_default();
            steps.sort();
            for (relation, target) in steps {
                if target != root && !previous.contains_key(&target) {
                    previous.insert(target, (node, relation));
                    open.push_back(target);
                }
            }
        }
        Self { graph, encoding, previous }
    }

    fn node(&self, node: usize) -> Option<ConflictNode> {
        self.graph.graph.raw_nodes().get(node).map(|node| node.weight)
    }

    /// `a is wanted, it depends on b (>= 2): b 2.1 depends on c: c 1.0`, ending with the node
    /// itself.
    fn to(&self, node: usize) -> String {
        let mut steps = vec![];
        let mut at = node;
        while let Some((before, relation)) = self.previous.get(&at) {
            steps.push((at, relation));
            at = *before;
        }
        let mut text = String::new();
        for (number, (node, relation)) in steps.iter().rev().enumerate() {
            let shown = self.show(*node);
            if number == 0 {
                text = format!("{shown} (wanted)");
            } else {
                text.push_str(&format!(" depends on {relation} → {shown}"));
            }
        }
        if text.is_empty() { self.show(node) } else { text }
    }

    fn show(&self, node: usize) -> String {
        match self.node(node) {
            Some(ConflictNode::Solvable(solvable)) => self.show_solvable(solvable),
            _ => "the profile".to_owned(),
        }
    }

    fn show_solvable(&self, solvable: SolvableId) -> String {
        self.encoding.display_solvable(solvable).to_string()
    }
}
