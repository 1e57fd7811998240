//! Reads all modules of a tree in one pass.

use super::module::{self, ModuleError};
use super::{DepmodError, Kernel, KernelModules, MODULES, ModuleFile, ModuleInfo};
use kiln_tree::{Content, ContentReader, Digest, Entry, FileTree, TreePath};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

/// A file to read, and its purpose.
struct Job<'a> {
    kernel: usize,
    /// Its path below the kernel's directory.
    path: &'a str,
    content: &'a Content,
}

/// The result of reading one file.
enum Part {
    Module(Result<ModuleInfo, ModuleError>),
    Order(Option<Vec<String>>),
    Builtin(Vec<String>),
    BuiltinAliases(Vec<(String, String)>),
}

/// Returns a digest of everything that [`scan`] reads: equal keys mean equal results.
pub fn key(tree: &FileTree) -> Digest {
    let mut listing = String::from("modules 1\n");
    let kernels: Vec<&TreePath> = kernels(tree).collect();
    for job in jobs(tree, &kernels) {
        listing += &format!("{}/{}\0{}\n", kernels[job.kernel], job.path, job.content.digest);
    }
    for line in kernels.iter().map(|path| path.as_str()).chain(depmod_d(tree)) {
        listing += &format!("{line}\n");
    }
    Digest::of(listing.as_bytes())
}

/// Reads all modules of all kernels in `tree`, and their `modules.order`, `modules.builtin` and
/// `modules.builtin.modinfo`.
///
/// # Errors
/// [`DepmodError`] when a file cannot be read or is not a module, or when it is ambiguous which of
/// two files of one module counts.
pub fn scan(tree: &FileTree, reader: &dyn ContentReader) -> Result<KernelModules, DepmodError> {
    let dirs: Vec<&TreePath> = kernels(tree).collect();
    let jobs = jobs(tree, &dirs);
    let parts: Vec<OnceLock<Part>> = jobs.iter().map(|_| OnceLock::new()).collect();
    let contents: Vec<&Content> = jobs.iter().map(|job| job.content).collect();
    reader.visit(&contents, &|index, bytes| {
        if let (Some(job), Some(part)) = (jobs.get(index), parts.get(index)) {
            part.get_or_init(|| parse(job, bytes));
        }
    })?;
    let mut kernels: Vec<Kernel> =
        dirs.iter().map(|dir| Kernel { release: dir.name().to_owned(), ..Kernel::default() }).collect();
    for (job, part) in jobs.iter().zip(parts) {
        let path = || format!("{}/{}", dirs[job.kernel], job.path);
        let kernel = &mut kernels[job.kernel];
        match part.into_inner().ok_or_else(|| DepmodError::Undelivered(path()))? {
            Part::Module(Ok(module)) => kernel.modules.push(module),
            Part::Module(Err(why)) => return Err(DepmodError::Module { path: path(), why }),
            Part::Order(order) => kernel.order = order,
            Part::Builtin(names) => kernel.builtin = Some(names),
            Part::BuiltinAliases(aliases) => kernel.builtin_aliases = Some(aliases),
        }
    }
    for kernel in &mut kernels {
        shadow(kernel, tree)?;
        forget_kernel_symbols(&mut kernel.modules);
    }
    Ok(KernelModules { kernels })
}

/// Returns the directories of the kernels in `tree`.
fn kernels(tree: &FileTree) -> impl Iterator<Item = &TreePath> {
    tree.children(MODULES).filter(|(_, entry)| entry.is_dir()).map(|(path, _)| path)
}

fn jobs<'a>(tree: &'a FileTree, kernels: &[&'a TreePath]) -> Vec<Job<'a>> {
    let mut jobs = Vec::new();
    for (kernel, dir) in kernels.iter().enumerate() {
        for (full, entry) in tree.below(dir.as_str()) {
            let below = full.as_str().strip_prefix(dir.as_str()).and_then(|path| path.strip_prefix('/'));
            let Some(path) = below else { continue };
            let wanted =
                is_module(path) || matches!(path, "modules.order" | "modules.builtin" | "modules.builtin.modinfo");
            if let Some(content) = wanted.then(|| content(tree, full, entry)).flatten() {
                jobs.push(Job { kernel, path, content });
            }
        }
    }
    jobs
}

/// Returns the content of a file, or of the file that a symlink leads to.
fn content<'a>(tree: &'a FileTree, path: &TreePath, entry: &'a Entry) -> Option<&'a Content> {
    entry.content().or_else(|| entry.link_target().and_then(|_| tree.resolve(path.as_str())?.1.content()))
}

/// Whether depmod reads a file: links to a kernel's build tree and source are skipped.
fn is_module(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let module = [".ko", ".ko.gz", ".ko.xz", ".ko.zst"].iter().any(|end| name.len() > end.len() && name.ends_with(end));
    module && !path.split('/').any(|part| matches!(part, "build" | "source"))
}

fn parse(job: &Job<'_>, bytes: &[u8]) -> Part {
    match job.path {
        "modules.order" => Part::Order(order(bytes)),
        "modules.builtin" => Part::Builtin(builtin(bytes)),
        "modules.builtin.modinfo" => Part::BuiltinAliases(builtin_aliases(bytes)),
        path if path.ends_with(".gz") => Part::Module(Err(ModuleError::Gzip)),
        path => Part::Module(module::read(ModuleFile { path: path.to_owned(), size: job.content.size }, bytes)),
    }
}

/// Returns the lines of `modules.order`; `None` when one is longer than kmod's buffer or has no
/// newline.
fn order(bytes: &[u8]) -> Option<Vec<String>> {
    let lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
    let whole = |line: &&[u8]| line.len() < 4096 && line.ends_with(b"\n");
    let text = |line: &[u8]| String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(line)).into_owned();
    lines.iter().all(whole).then(|| lines.into_iter().map(text).collect())
}

/// Returns the paths in `modules.builtin`; lines that do not begin with a letter are ignored.
fn builtin(bytes: &[u8]) -> Vec<String> {
    let lines = bytes.split(|&byte| byte == b'\n').filter(|line| line.first().is_some_and(u8::is_ascii_alphabetic));
    lines.filter_map(|line| std::str::from_utf8(line).ok()).filter(|line| line.is_ascii()).map(str::to_owned).collect()
}

/// Returns the `(alias, name)` pairs of `modules.builtin.modinfo`, a sequence of NUL-terminated
/// `name.key=value`.
fn builtin_aliases(bytes: &[u8]) -> Vec<(String, String)> {
    let record = |record: &[u8]| {
        let (name, rest) = std::str::from_utf8(record).ok()?.split_once('.')?;
        let alias = rest.strip_prefix("alias=")?;
        let sound = !name.is_empty() && !alias.is_empty() && record.is_ascii() && record.len() < 4096;
        sound.then(|| (alias.to_owned(), name.to_owned()))
    };
    let mut records: Vec<&[u8]> = bytes.split(|&byte| byte == 0).collect();
    // The text after the last NUL is not terminated and does not count.
    records.pop();
    records.into_iter().filter_map(record).collect()
}

/// Keeps one module of each name: the one under `updates/`, else the first by path.
fn shadow(kernel: &mut Kernel, tree: &FileTree) -> Result<(), DepmodError> {
    let mut chosen: BTreeMap<String, ModuleInfo> = BTreeMap::new();
    for module in std::mem::take(&mut kernel.modules) {
        let Some(first) = chosen.remove(&module.name()) else {
            chosen.insert(module.name(), module);
            continue;
        };
        if let Some(config) = depmod_d(tree).next() {
            return Err(DepmodError::Ambiguous {
                release: kernel.release.clone(),
                first: first.file.path,
                second: module.file.path,
                config: config.to_owned(),
            });
        }
        let update = |module: &ModuleInfo| module.file.path.starts_with("updates/");
        let (wins, loses) = if update(&module) && !update(&first) { (module, first) } else { (first, module) };
        kernel.shadowed.push(loses.file);
        chosen.insert(wins.name(), wins);
    }
    kernel.modules = chosen.into_values().collect();
    kernel.modules.sort_by(|a, b| a.file.path.cmp(&b.file.path));
    Ok(())
}

/// Returns the configuration files of depmod in `tree`.
fn depmod_d(tree: &FileTree) -> impl Iterator<Item = &str> {
    ["etc/depmod.d", "usr/local/lib/depmod.d", "usr/lib/depmod.d"]
        .into_iter()
        .flat_map(|dir| tree.children(dir))
        .map(|(path, _)| path.as_str())
        .filter(|path| path.ends_with(".conf"))
}

/// Removes the needs that no module exports: these are nine tenths, and nothing depends on them.
fn forget_kernel_symbols(modules: &mut [ModuleInfo]) {
    let exported: BTreeSet<String> = modules.iter().flat_map(|module| module.exports.iter().cloned()).collect();
    for module in modules {
        module.needs.retain(|symbol| exported.contains(symbol));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_tree::{LocalReader, Origin};
    use proptest::prelude::*;

    fn tree(files: &[(&str, &[u8])]) -> FileTree {
        let mut tree = FileTree::new();
        for (path, bytes) in files {
            let entry = Entry::file(*bytes, 0o644, Origin::Generated("test".into()));
            tree.insert(TreePath::new(path).expect("a path"), entry).expect("inserted");
        }
        tree
    }

    #[test]
    fn an_unterminated_order_is_ignored() {
        assert_eq!(order(b"a.ko\nb.ko\n"), Some(vec!["a.ko".into(), "b.ko".into()]));
        assert_eq!(order(b"a.ko\nb.ko"), None);
        assert_eq!(order(b""), Some(vec![]));
    }

    #[test]
    fn built_in_aliases_are_extracted() {
        let modinfo = b"ext4.license=GPL\0ext4.alias=fs-ext4\0x.alias=a.b=c\0ext4.alias=cut";
        assert_eq!(builtin_aliases(modinfo), [("fs-ext4".into(), "ext4".into()), ("a.b=c".into(), "x".into())]);
    }

    #[test]
    fn build_trees_are_not_searched() {
        assert!(is_module("kernel/a.ko.xz") && is_module("a.ko"));
        assert!(!is_module("build/a.ko") && !is_module("kernel/.ko") && !is_module("kernel/a.ko.bz2"));
    }

    #[test]
    fn a_damaged_module_is_named() {
        let tree = tree(&[("usr/lib/modules/6.1/kernel/a.ko", b"no module")]);
        let error = scan(&tree, &LocalReader).expect_err("rejected").to_string();
        assert_eq!(
            error,
            "kernel module /usr/lib/modules/6.1/kernel/a.ko: it is not an ELF file; remove it, or install it \
             again as .ko, .ko.xz or .ko.zst"
        );
    }

    #[test]
    fn a_module_that_modprobe_could_not_read_is_rejected() {
        let tree = tree(&[("usr/lib/modules/6.1/kernel/a.ko.gz", &[0x1f, 0x8b])]);
        let error = scan(&tree, &LocalReader).expect_err("rejected").to_string();
        assert!(error.contains("a.ko.gz: Debian's kmod cannot read gzip"), "{error}");
    }

    #[test]
    fn the_key_depends_on_contents() {
        let key_of = |bytes| key(&tree(&[("usr/lib/modules/6.1/a.ko", bytes), ("etc/hostname", b"x")]));
        assert_eq!(key_of(b"1"), key_of(b"1"));
        assert_ne!(key_of(b"1"), key_of(b"2"));
    }

    fn module(path: &str) -> ModuleInfo {
        ModuleInfo {
            file: ModuleFile { path: path.into(), size: 1 },
            exports: vec![],
            needs: vec![],
            aliases: vec![],
            softdeps: vec![],
            weakdeps: vec![],
        }
    }

    #[test]
    fn updates_win_over_the_kernels_own() {
        let modules = vec![module("extra/a-b.ko"), module("kernel/a_b.ko.xz"), module("updates/a_b.ko")];
        let mut kernel = Kernel { release: "6.1".into(), modules, ..Kernel::default() };
        shadow(&mut kernel.clone(), &tree(&[("etc/depmod.d/x.conf", b"")])).expect_err("ambiguous");
        shadow(&mut kernel, &FileTree::new()).expect("chosen");
        assert_eq!(kernel.modules, [module("updates/a_b.ko")]);
        assert_eq!(kernel.shadowed.len(), 2);
    }

    proptest! {
        #[test]
        fn foreign_lists_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            order(&bytes);
            builtin(&bytes);
            builtin_aliases(&bytes);
        }
    }
}
