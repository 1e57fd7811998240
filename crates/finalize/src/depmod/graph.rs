//! Dependencies between modules, and kmod's order of modules.

use super::hash::{MODULE_BUCKETS, SYMBOL_BUCKETS, order};
use super::{DepmodError, Kernel, Kmod, ModuleInfo};
use std::collections::{BTreeMap, BTreeSet};

/// The modules of a kernel in kmod's order, with their dependencies. A module is identified by its
/// position in that order.
pub(crate) struct Graph<'a> {
    /// The modules.
    pub(crate) modules: Vec<&'a ModuleInfo>,
    /// Their names.
    pub(crate) names: Vec<String>,
    /// The module that exports each symbol; the last one if there are several.
    owners: BTreeMap<&'a str, usize>,
    /// The direct needs of each module, in the order of its symbols.
    needs: Vec<Vec<usize>>,
}

impl<'a> Graph<'a> {
    pub(crate) fn new(kernel: &'a Kernel, kmod: Kmod) -> Self {
        let modules = sorted(kernel, kmod);
        let mut owners = BTreeMap::new();
        for (at, module) in modules.iter().enumerate() {
            owners.extend(module.exports.iter().map(|symbol| (symbol.as_str(), at)));
        }
        let needs = modules.iter().map(|module| direct(module, &owners)).collect();
        Self { names: modules.iter().map(|module| module.name()).collect(), modules, owners, needs }
    }

    /// Returns the exported symbols with the positions of their owners, in the order kmod writes
    /// them.
    pub(super) fn symbols(&self) -> Vec<(&'a str, usize)> {
        let mut symbols: Vec<(&str, usize)> = self.owners.iter().map(|(symbol, owner)| (*symbol, *owner)).collect();
        symbols.sort_by_key(|(symbol, _)| order(symbol, SYMBOL_BUCKETS));
        symbols
    }

    /// Returns `from` and everything these need, directly or indirectly.
    pub(crate) fn closure(&self, from: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
        let mut todo: Vec<usize> = from.into_iter().collect();
        let mut found = BTreeSet::new();
        while let Some(module) = todo.pop() {
            if found.insert(module) {
                todo.extend(&self.needs[module]);
            }
        }
        found
    }

    /// Returns everything that each module needs, directly or indirectly, in the order of
    /// `modules.dep`: each module before those that it needs itself.
    pub(super) fn dependencies(&self, rank: &[usize]) -> Vec<Vec<usize>> {
        let sorted = |module: usize| {
            let mut needed: Vec<usize> = self.closure(self.needs[module].iter().copied()).into_iter().collect();
            needed.sort_by_key(|&needed| rank[needed]);
            needed
        };
        (0..self.modules.len()).map(sorted).collect()
    }

    /// Returns the position of every module in kmod's topological order (users before what they
    /// use).
    ///
    /// # Errors
    /// [`DepmodError::Cycle`].
    pub(super) fn rank(&self, release: &str) -> Result<Vec<usize>, DepmodError> {
        let mut users = vec![0_usize; self.modules.len()];
        self.needs.iter().flatten().for_each(|&needed| users[needed] += 1);
        // This is a stack as in kmod, because the order depends on it.
        let mut roots: Vec<usize> = (0..users.len()).filter(|&module| users[module] == 0).collect();
        let mut rank = vec![usize::MAX; users.len()];
        let mut next = 0;
        while let Some(module) = roots.pop() {
            rank[module] = next;
            next += 1;
            for &needed in &self.needs[module] {
                users[needed] -= 1;
                if users[needed] == 0 {
                    roots.push(needed);
                }
            }
        }
        if next == users.len() {
            return Ok(rank);
        }
        let left = rank.iter().zip(&self.names).filter(|(rank, _)| **rank == usize::MAX);
        let mut modules: Vec<String> = left.map(|(_, name)| name.clone()).collect();
        modules.sort();
        Err(DepmodError::Cycle { release: release.to_owned(), modules })
    }
}

/// Returns the owners of the symbols that `module` needs, each once.
fn direct(module: &ModuleInfo, owners: &BTreeMap<&str, usize>) -> Vec<usize> {
    let mut seen = BTreeSet::new();
    let found = module.needs.iter().filter_map(|symbol| owners.get(symbol.as_str()).copied());
    found.filter(|owner| seen.insert(*owner)).collect()
}

/// Sorts modules in the order of `modules.order`, then the others in that of kmod's hash table.
fn sorted(kernel: &Kernel, kmod: Kmod) -> Vec<&ModuleInfo> {
    let mut modules: Vec<(String, &ModuleInfo)> = kernel.modules.iter().map(|module| (module.name(), module)).collect();
    modules.sort_by(|(a, _), (b, _)| order(a, MODULE_BUCKETS).cmp(&order(b, MODULE_BUCKETS)));
    let mut lines: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, line) in kernel.order.iter().flatten().enumerate() {
        match kmod {
            Kmod::V30 => lines.insert(line, at),
            Kmod::V34 => Some(*lines.entry(line).or_insert(at)),
        };
    }
    modules.sort_by_key(|(name, module)| {
        let path = module.file.path.as_str();
        // The path as it would be without compression.
        let length = path.rfind('/').map_or(0, |at| at + 1) + name.len() + ".ko".len();
        path.get(..length).and_then(|path| lines.get(path)).copied().unwrap_or(usize::MAX)
    });
    modules.into_iter().map(|(_, module)| module).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::depmod::ModuleFile;

    /// A kernel of modules `(name, needs)`, each of which exports a symbol of its own name.
    pub(crate) fn kernel(modules: &[(&str, &[&str])]) -> Kernel {
        let module = |(name, needs): &(&str, &[&str])| ModuleInfo {
            file: ModuleFile { path: format!("kernel/{name}.ko.xz"), size: 10 },
            exports: vec![(*name).to_owned()],
            needs: needs.iter().map(|need| (*need).to_owned()).collect(),
            aliases: vec![],
            softdeps: vec![],
            weakdeps: vec![],
        };
        Kernel { release: "6.1".into(), modules: modules.iter().map(module).collect(), ..Kernel::default() }
    }

    #[test]
    fn listed_modules_come_first_in_their_order() {
        let mut kernel = kernel(&[("a", &[]), ("b", &[]), ("c", &[]), ("d", &[])]);
        kernel.order = Some(["kernel/c.ko", "kernel/b.ko", "kernel/c.ko"].map(str::to_owned).to_vec());
        let names = |kmod| Graph::new(&kernel, kmod).names[..2].to_vec();
        assert_eq!(names(Kmod::V34), ["c", "b"]);
        assert_eq!(names(Kmod::V30), ["b", "c"]);
    }

    #[test]
    fn dependencies_are_whole_and_ordered() {
        let kernel = kernel(&[("a", &["b"]), ("b", &["d", "c"]), ("c", &["d"]), ("d", &[])]);
        let graph = Graph::new(&kernel, Kmod::V34);
        let rank = graph.rank("6.1").expect("no cycle");
        let a = graph.names.iter().position(|name| name == "a").expect("there");
        let names: Vec<&str> =
            graph.dependencies(&rank)[a].iter().map(|&module| graph.names[module].as_str()).collect();
        assert_eq!(names, ["b", "c", "d"]);
    }

    #[test]
    fn a_cycle_is_an_error_that_names_it() {
        let kernel = kernel(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])]);
        let error = Graph::new(&kernel, Kmod::V34).rank("6.1").expect_err("a cycle");
        assert_eq!(error.to_string(), "kernel 6.1: modules b, c need each other in a cycle and can never be loaded");
    }
}
