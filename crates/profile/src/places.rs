//! Positions of the keys of a checked profile, for errors found after it was loaded.

use super::key::{Document, Field, Key, Step};
use super::node::{Node, Value};
use super::place::{Fault, Place, Pos, Sources};
use std::fmt;
use std::sync::Arc;

/// The positions of the keys of a profile. They do not affect the image: two profiles that differ
/// only in positions describe the same image.
#[derive(Clone, Default)]
pub struct Places(Arc<Written>);

/// The files and options of a profile.
#[derive(Default)]
pub(super) struct Written {
    /// The files and options.
    pub sources: Sources,
    /// The merged profile.
    pub profile: Option<Node>,
    /// The release.
    pub release: Option<Node>,
    /// The cluster.
    pub cluster: Option<Node>,
    /// Fields replaced by options of the command line, with their positions.
    pub options: Vec<(Field, Pos)>,
}

/// The positions of a value and, in a map, of its name.
#[derive(Clone, Copy)]
struct Spot {
    name: Pos,
    value: Pos,
}

impl Places {
    /// The positions in `written`.
    pub(super) fn new(written: Written) -> Self {
        Self(Arc::new(written))
    }

    /// The place of `key`, or of the nearest enclosing key that is present.
    pub fn nearest(&self, key: &Key) -> Place {
        self.0.sources.place(self.look_up(key).0)
    }

    /// Whether `key` itself is present.
    pub(super) fn has(&self, key: &Key) -> bool {
        self.look_up(key).1
    }

    /// A fault of `key` at the position of `at`, a key below it or one that causes the fault.
    pub(super) fn fault(&self, at: impl Into<Key>, key: impl Into<Key>, text: impl Into<String>) -> Fault {
        self.look_up(&at.into()).0.fault_of(key, text)
    }

    /// The position of a key or of the nearest enclosing one, and whether it is that of the key.
    fn look_up(&self, key: &Key) -> (Pos, bool) {
        let written = &*self.0;
        if let Some((_, pos)) = written.options.iter().find(|(field, _)| *field == key.field()) {
            return (*pos, true);
        }
        let root = match key.field().document() {
            Document::Profile => &written.profile,
            Document::Release => &written.release,
            Document::Cluster => &written.cluster,
        };
        let Some(mut node) = root.as_ref() else { return (Pos::default(), false) };
        let mut spot = Spot { name: node.pos, value: node.pos };
        for step in path(key) {
            match below(node, &step) {
                Some((found, inner)) => (spot, node) = (found, inner),
                None => return (spot.value, false),
            }
        }
        (if key.is_at_name() { spot.name } else { spot.value }, true)
    }
}

/// Omits the positions.
impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Places")
    }
}

/// All steps from the top of the document to `key`.
fn path(key: &Key) -> Vec<Step> {
    let mut steps = key.steps().iter();
    let mut path = Vec::new();
    for part in key.field().path().split('.') {
        match part {
            "*" => path.extend(steps.next().cloned()),
            name => path.push(Step::Below(name)),
        }
    }
    path.extend(steps.cloned());
    path
}

/// The node to which `step` leads from `node`, and its positions.
fn below<'a>(node: &'a Node, step: &Step) -> Option<(Spot, &'a Node)> {
    let entry = |wanted: &str| {
        let Value::Map(entries) = &node.value else { return None };
        // A trailing `?` makes an entry optional. The merge treats `name` and `name?` as two keys;
        // that of the child applies, whose source has the lower number.
        let means = |name: &str| name == wanted || name.strip_suffix('?') == Some(wanted);
        let found = entries.iter().filter(|(name, _)| name.text().is_some_and(means));
        let (name, value) = found.min_by_key(|(name, _)| name.pos.source)?;
        Some((Spot { name: name.pos, value: value.pos }, value))
    };
    let item = |found: Option<&'a Node>| found.map(|item| (Spot { name: item.pos, value: item.pos }, item));
    match (step, &node.value) {
        (Step::Below(name), _) => entry(name),
        (Step::Name(name) | Step::Within(name), _) => entry(name),
        (Step::Index(index), Value::List(items)) => item(items.get(*index)),
        (Step::Item(text), Value::List(items)) => item(items.iter().find(|item| item.text() == Some(text))),
        _ => None,
    }
}
