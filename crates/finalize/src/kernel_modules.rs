//! Which kernel modules an image keeps.

use super::depmod::graph::Graph;
use super::depmod::write::normalized;
use super::depmod::{Kernel, KernelModules, Kmod, MODULES, ModuleFile, ModuleInfo, module_name};
use super::input::{self, OutputError};
use globset::{GlobBuilder, GlobMatcher};
use kiln_tree::{Entry, FileTree, PathError, TreePath};
use std::collections::{BTreeMap, BTreeSet};

/// Moves kernels to `/boot`, where Debian's packages had them before forky. Since forky they are
/// beside their modules, and a hook of the maintainer scripts copies them.
///
/// # Errors
/// [`OutputError`] when the path in `/boot` cannot be used.
pub fn kernels_to_boot(tree: &mut FileTree) -> Result<(), OutputError> {
    let versions: Vec<String> = tree.children(MODULES).map(|(path, _)| path.name().to_owned()).collect();
    for version in versions {
        let kernel = format!("{MODULES}/{version}/vmlinuz");
        if tree.get(&kernel).and_then(Entry::content).is_some() {
            for (_, entry) in tree.remove(&kernel) {
                input::put(tree, &format!("boot/vmlinuz-{version}"), entry)?;
            }
        }
    }
    Ok(())
}

/// The result of [`select`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The modules to keep, for which indexes are made.
    pub kept: KernelModules,
    /// The files to remove, with their sizes in bytes, sorted by path.
    pub dropped: Vec<(TreePath, u64)>,
}

/// Why modules cannot be selected.
#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    /// A pattern matches neither a module nor a built-in one.
    #[error(
        "{pattern:?} matches no module of kernel {release}{}",
        .nearest.as_ref().map(|name| format!(" (did you mean {name:?}?)")).unwrap_or_default()
    )]
    NoMatch {
        /// The pattern, as written.
        pattern: String,
        /// The kernel.
        release: String,
        /// The most similar name of a module.
        nearest: Option<String>,
    },
    /// A glob is malformed.
    #[error("{pattern:?} is not a pattern: {why}")]
    BadPattern {
        /// The pattern, as written.
        pattern: String,
        /// The glob library's message.
        why: String,
    },
    /// The path of a module is not valid in a tree.
    #[error(transparent)]
    Path(#[from] PathError),
}

impl SelectError {
    /// Returns the pattern that cannot be satisfied, as written.
    pub fn pattern(&self) -> &str {
        match self {
            Self::NoMatch { pattern, .. } | Self::BadPattern { pattern, .. } => pattern,
            Self::Path(_) => "",
        }
    }
}

/// One line of a profile's list of modules to keep.
struct Keep<'a> {
    written: &'a str,
    optional: bool,
    what: What,
}

enum What {
    /// A module's name or alias, with `-` replaced by `_`.
    Name(String),
    /// A glob over names.
    Names(GlobMatcher),
    /// A glob over paths below the kernel's directory, without `.ko` and what follows it.
    Paths(GlobMatcher),
}

/// Keeps the modules that `keep` matches and everything they need (symbols and soft `pre:`
/// dependencies); drops the others.
///
/// - A pattern with a `/` is a glob over paths below `usr/lib/modules/<release>/`
///   (`kernel/fs/nls/*`). `**` crosses directories; `.ko` and the compression suffix may be
///   omitted.
/// - A pattern with `*`, `[` or an inner `?` is a glob over names.
/// - Any other pattern is a name or an alias as for `modprobe`.
///
/// `_` and `-` are equal. A trailing `?` makes the pattern optional.
///
/// # Errors
/// [`SelectError`] when a pattern that is not optional matches no module of one of the kernels, not
/// even a built-in one.
pub fn select(modules: &KernelModules, keep: &[String]) -> Result<Selection, SelectError> {
    let keep: Vec<Keep<'_>> = keep.iter().map(|pattern| Keep::parse(pattern)).collect::<Result<_, _>>()?;
    let mut selection = Selection { kept: KernelModules::default(), dropped: Vec::new() };
    for kernel in &modules.kernels {
        let wanted = wanted(kernel, &keep)?;
        let (kept, dropped): (Vec<_>, Vec<_>) =
            kernel.modules.iter().cloned().partition(|module| wanted.contains(&module.file.path));
        for file in dropped.into_iter().map(|module| module.file).chain(kernel.shadowed.iter().cloned()) {
            let path = TreePath::new(&format!("{MODULES}/{}/{}", kernel.release, file.path))?;
            selection.dropped.push((path, file.size));
        }
        selection.kept.kernels.push(Kernel { modules: kept, shadowed: Vec::new(), ..kernel.clone() });
    }
    selection.dropped.sort();
    Ok(selection)
}

impl<'a> Keep<'a> {
    fn parse(written: &'a str) -> Result<Self, SelectError> {
        let (pattern, optional) = match written.strip_suffix('?') {
            Some(pattern) => (pattern, true),
            None => (written, false),
        };
        let bad = |why: String| SelectError::BadPattern { pattern: written.to_owned(), why };
        if pattern.is_empty() {
            return Err(bad("it is empty".into()));
        }
        let plain = normalized(pattern).ok_or_else(|| bad("a bracket is not closed".into()))?;
        let glob = |text: &str| {
            let glob = GlobBuilder::new(text).literal_separator(true).build();
            glob.map(|glob| glob.compile_matcher()).map_err(|error| bad(error.kind().to_string()))
        };
        let what = if plain.contains('/') {
            What::Paths(glob(without_suffix(&plain))?)
        } else if plain.contains(['*', '?', '[', '{']) {
            What::Names(glob(&plain)?)
        } else {
            What::Name(module_name(&plain))
        };
        Ok(Self { written, optional, what })
    }

    fn matches(&self, module: &ModuleInfo) -> bool {
        match &self.what {
            What::Name(name) => *name == module.name(),
            What::Names(glob) => glob.is_match(module.name()),
            What::Paths(glob) => glob.is_match(without_suffix(&module.file.path.replace('-', "_"))),
        }
    }

    /// Whether the pattern means a module that is built into the kernel.
    fn is_builtin(&self, kernel: &Kernel) -> bool {
        let mut paths = kernel.builtin.iter().flatten();
        let mut aliases = kernel.builtin_aliases.iter().flatten();
        match &self.what {
            What::Name(name) => {
                paths.any(|path| module_name(path) == *name)
                    || aliases.any(|(alias, _)| normalized(alias).as_ref() == Some(name))
            }
            What::Names(glob) => paths.any(|path| glob.is_match(module_name(path))),
            What::Paths(glob) => paths.any(|path| glob.is_match(without_suffix(&path.replace('-', "_")))),
        }
    }
}

/// Removes `.ko`, `.ko.xz` and the like from a path.
fn without_suffix(path: &str) -> &str {
    path.rfind(".ko").map_or(path, |at| match &path[at..] {
        ".ko" | ".ko.gz" | ".ko.xz" | ".ko.zst" => &path[..at],
        _ => path,
    })
}

/// Returns the paths of those modules of `kernel` that are kept.
fn wanted(kernel: &Kernel, keep: &[Keep<'_>]) -> Result<BTreeSet<String>, SelectError> {
    // Both versions give the same dependencies.
    let graph = Graph::new(kernel, Kmod::V34);
    let names = Names::new(&graph);
    let mut wanted = BTreeSet::new();
    for keep in keep {
        let mut found: Vec<usize> =
            (0..graph.modules.len()).filter(|&module| keep.matches(graph.modules[module])).collect();
        if let (What::Name(name), true) = (&keep.what, found.is_empty()) {
            found = names.lookup(name);
        }
        if found.is_empty() && !keep.optional && !keep.is_builtin(kernel) {
            return Err(SelectError::NoMatch {
                pattern: keep.written.to_owned(),
                release: kernel.release.clone(),
                nearest: nearest(keep, kernel),
            });
        }
        wanted.extend(found);
    }
    let all = with_soft_dependencies(&graph, &names, wanted);
    Ok(all.into_iter().map(|module| graph.modules[module].file.path.clone()).collect())
}

/// Modules by the names and aliases that `modprobe` accepts.
struct Names<'a> {
    names: BTreeMap<&'a str, usize>,
    aliases: BTreeMap<String, Vec<usize>>,
}

impl<'a> Names<'a> {
    fn new(graph: &'a Graph<'_>) -> Self {
        let mut aliases: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, module) in graph.modules.iter().enumerate() {
            // Aliases with wildcards match devices; patterns do not name them.
            let plain = module.aliases.iter().filter(|alias| !alias.contains(['*', '?', '[']));
            for alias in plain.filter_map(|alias| normalized(alias)) {
                aliases.entry(alias).or_default().push(at);
            }
        }
        Self { names: graph.names.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect(), aliases }
    }

    /// Returns the module with this name, else those with this alias.
    fn lookup(&self, name: &str) -> Vec<usize> {
        match self.names.get(name) {
            Some(&module) => vec![module],
            None => self.aliases.get(name).cloned().unwrap_or_default(),
        }
    }
}

/// Returns `wanted`, what these need, what those request first (`softdep … pre: …`), and so on.
fn with_soft_dependencies(graph: &Graph<'_>, names: &Names<'_>, wanted: BTreeSet<usize>) -> BTreeSet<usize> {
    let mut all = graph.closure(wanted);
    let mut todo: Vec<usize> = all.iter().copied().collect();
    while let Some(module) = todo.pop() {
        let softdeps = graph.modules[module].softdeps.iter();
        let asked: Vec<usize> =
            softdeps.flat_map(|softdep| pre(softdep)).flat_map(|name| names.lookup(&name)).collect();
        for needed in graph.closure(asked) {
            if all.insert(needed) {
                todo.push(needed);
            }
        }
    }
    all
}

/// Returns the names that a `softdep` value lists after `pre:`.
fn pre(softdep: &str) -> impl Iterator<Item = String> {
    let mut before = false;
    softdep.split_ascii_whitespace().filter_map(move |word| match word {
        "pre:" => {
            before = true;
            None
        }
        "post:" => {
            before = false;
            None
        }
        name => before.then(|| name.replace('-', "_")),
    })
}

/// Returns the module whose name (or path) is most similar to the pattern.
fn nearest(keep: &Keep<'_>, kernel: &Kernel) -> Option<String> {
    let asked = without_suffix(keep.written.trim_end_matches('?'));
    let spelled = |file: &ModuleFile| match keep.what {
        What::Paths(_) => without_suffix(&file.path).to_owned(),
        What::Name(_) | What::Names(_) => module_name(&file.path),
    };
    let names: Vec<String> = kernel.modules.iter().map(|module| spelled(&module.file)).collect();
    kiln_suggest::nearest(asked, names.iter().map(String::as_str)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::super::depmod::graph::tests::kernel;
    use super::*;
    use kiln_tree::Origin;

    #[test]
    fn a_kernel_beside_its_modules_is_moved() {
        let mut tree = FileTree::new();
        let file = |text: &str| Entry::file(text, 0o644, Origin::Package("linux-binary=7".into()));
        input::put(&mut tree, "usr/lib/modules/7.2-cloud/vmlinuz", file("kernel")).expect("a free path");
        input::put(&mut tree, "usr/lib/modules/7.2-cloud/modules.order", file("")).expect("a free path");
        kernels_to_boot(&mut tree).expect("moved");
        assert_eq!(tree.get("boot/vmlinuz-7.2-cloud"), Some(&file("kernel")));
        assert!(!tree.contains("usr/lib/modules/7.2-cloud/vmlinuz"));
        let before = tree.clone();
        kernels_to_boot(&mut tree).expect("nothing to do");
        assert_eq!(tree, before);
    }

    fn modules() -> KernelModules {
        let mut kernel = kernel(&[("ip-vs", &["nf_conntrack"]), ("nf_conntrack", &["nf_defrag"]), ("nf_defrag", &[])]);
        let mut more =
            self::kernel(&[("btrfs", &[]), ("xxhash", &[]), ("crc32c_intel", &[]), ("raid6", &["xor"]), ("xor", &[])]);
        more.modules[0].softdeps = vec!["pre: xxhash crc32c gone post: ip-vs".into(), "pre: raid6".into()];
        more.modules[2].aliases = vec!["crypto-x".into(), "crc32c".into()];
        kernel.modules.append(&mut more.modules);
        kernel.builtin = Some(vec!["kernel/fs/ext4/ext4.ko".into(), "kernel/virtio-pci.ko".into()]);
        kernel.builtin_aliases = Some(vec![("fs-ext4".into(), "ext4".into())]);
        KernelModules { kernels: vec![kernel] }
    }

    fn kept(patterns: &[&str]) -> Result<Vec<String>, String> {
        let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        let selection = select(&modules(), &patterns).map_err(|error| error.to_string())?;
        let kept = &selection.kept.kernels[0].modules;
        assert_eq!(kept.len() + selection.dropped.len(), 8);
        assert!(selection.dropped.iter().all(|(_, size)| *size == 10));
        Ok(kept.iter().map(ModuleInfo::name).collect())
    }

    #[test]
    fn a_module_brings_what_it_needs() {
        assert_eq!(kept(&["ip_vs"]).expect("kept"), ["ip_vs", "nf_conntrack", "nf_defrag"]);
        assert_eq!(kept(&["nf-conntrack"]).expect("kept"), ["nf_conntrack", "nf_defrag"]);
        assert_eq!(kept(&[]).expect("kept"), [""; 0]);
    }

    #[test]
    fn soft_dependencies_come_too_by_name_and_alias() {
        assert_eq!(kept(&["btrfs"]).expect("kept"), ["btrfs", "xxhash", "crc32c_intel", "raid6", "xor"]);
        assert_eq!(kept(&["crypto-x"]).expect("kept"), ["crc32c_intel"]);
    }

    #[test]
    fn globs_match_names_or_paths() {
        assert_eq!(kept(&["nf-*"]).expect("kept"), ["nf_conntrack", "nf_defrag"]);
        assert_eq!(kept(&["kernel/nf_d*.ko.xz", "kernel/x[o]r"]).expect("kept"), ["nf_defrag", "xor"]);
        assert_eq!(kept(&["**/xor"]).expect("kept"), ["xor"]);
        assert_eq!(kept(&["*"]).expect("kept").len(), 8);
    }

    #[test]
    fn a_pattern_without_match_is_rejected_unless_built_in_or_optional() {
        assert_eq!(kept(&["ext4", "fs-ext4", "virtio-*", "kernel/fs/ext4/*", "overlay?"]).expect("kept"), [""; 0]);
        assert_eq!(
            kept(&["nf-conntrak"]).expect_err("rejected"),
            "\"nf-conntrak\" matches no module of kernel 6.1 (did you mean \"nf_conntrack\"?)"
        );
        assert!(!kept(&["zzzzzz"]).expect_err("rejected").contains("did you mean"));
        assert!(kept(&["a[b"]).expect_err("rejected").contains("a bracket is not closed"));
        assert!(kept(&["?"]).expect_err("rejected").contains("it is empty"));
    }

    #[test]
    fn dropped_files_are_tree_paths() {
        let selection = select(&modules(), &["xor".to_owned()]).expect("selected");
        assert_eq!(selection.dropped[0].0.as_str(), "usr/lib/modules/6.1/kernel/btrfs.ko.xz");
    }
}
