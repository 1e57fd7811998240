//! The index files.

use super::graph::Graph;
use super::trie::Index;
use super::{DepmodError, Kernel, KernelModules, Kmod, MODULES, module_name};
use kiln_tree::{Entry, TreePath};
use std::fmt::Write as _;

/// The name and contents of a file.
type File = (&'static str, Vec<u8>);

/// Returns the index files of all kernels: path and contents.
///
/// # Errors
/// [`DepmodError::Cycle`], or [`DepmodError::TooBig`] beyond the limits of the format.
pub fn indexes(modules: &KernelModules, kmod: Kmod) -> Result<Vec<(TreePath, Vec<u8>)>, DepmodError> {
    let mut all = Vec::new();
    for kernel in &modules.kernels {
        for (name, bytes) in files(kernel, kmod)? {
            let path = TreePath::new(&format!("{MODULES}/{}/{name}", kernel.release))
                .map_err(|_| DepmodError::Release(kernel.release.clone()))?;
            all.push((path, bytes));
        }
    }
    Ok(all)
}

/// Like [`indexes`], as tree entries of mode 0644.
///
/// # Errors
/// Like [`indexes`].
pub fn entries(modules: &KernelModules, kmod: Kmod) -> Result<Vec<(TreePath, Entry)>, DepmodError> {
    let entry = |(path, bytes)| (path, Entry::file(bytes, 0o644, super::FINALIZER.origin()));
    Ok(indexes(modules, kmod)?.into_iter().map(entry).collect())
}

fn files(kernel: &Kernel, kmod: Kmod) -> Result<Vec<File>, DepmodError> {
    let graph = Graph::new(kernel, kmod);
    let dependencies = dependency_lines(&graph, &kernel.release)?;
    let mut files = vec![
        ("modules.dep", lines("", &dependencies)),
        ("modules.dep.bin", dep_bin(kernel, kmod, &graph, &dependencies)?),
        ("modules.alias", alias(&graph)),
        ("modules.alias.bin", alias_bin(kernel, kmod, &graph)?),
        ("modules.softdep", softdep(&graph)),
        ("modules.symbols", symbols(&graph)),
        ("modules.symbols.bin", symbols_bin(kernel, kmod, &graph)?),
        ("modules.builtin.bin", builtin_bin(kernel, kmod)?),
        ("modules.builtin.alias.bin", builtin_alias_bin(kernel, kmod)?),
        ("modules.devname", devname(&graph)),
    ];
    if kmod == Kmod::V34 {
        files.push(("modules.weakdep", weakdep(&graph)));
    }
    Ok(files)
}

/// Joins `title` and `lines`, each terminated.
fn lines<'a>(title: &str, lines: impl IntoIterator<Item = &'a String>) -> Vec<u8> {
    let mut text = title.to_owned();
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    text.into_bytes()
}

/// Returns one line of `modules.dep` for each module.
fn dependency_lines(graph: &Graph<'_>, release: &str) -> Result<Vec<String>, DepmodError> {
    let rank = graph.rank(release)?;
    let line = |(module, needed): (usize, Vec<usize>)| {
        let mut line = format!("{}:", graph.modules[module].file.path);
        for needed in needed {
            line.push(' ');
            line.push_str(&graph.modules[needed].file.path);
        }
        line
    };
    Ok(graph.dependencies(&rank).into_iter().enumerate().map(line).collect())
}

/// Returns the bytes of an index of `(key, value, position of the module)`.
fn bin<'a>(
    kernel: &Kernel,
    kmod: Kmod,
    file: &'static str,
    entries: impl Iterator<Item = (String, &'a str, usize)>,
) -> Result<Vec<u8>, DepmodError> {
    let too_big = || DepmodError::TooBig { release: kernel.release.clone(), file };
    let mut index = Index::new();
    for (key, value, place) in entries {
        index.insert(&key, value, u32::try_from(place).map_err(|_| too_big())?);
    }
    index.bytes(kmod).map_err(|_| too_big())
}

fn dep_bin(kernel: &Kernel, kmod: Kmod, graph: &Graph<'_>, lines: &[String]) -> Result<Vec<u8>, DepmodError> {
    let entries = lines.iter().enumerate().map(|(module, line)| (graph.names[module].clone(), line.as_str(), module));
    bin(kernel, kmod, "modules.dep.bin", entries)
}

fn alias(graph: &Graph<'_>) -> Vec<u8> {
    let aliases = graph.modules.iter().zip(&graph.names);
    let aliases = aliases.flat_map(|(module, name)| module.aliases.iter().map(move |a| format!("alias {a} {name}")));
    lines("# Aliases extracted from modules themselves.\n", &aliases.collect::<Vec<_>>())
}

fn alias_bin(kernel: &Kernel, kmod: Kmod, graph: &Graph<'_>) -> Result<Vec<u8>, DepmodError> {
    let entries = graph.modules.iter().enumerate().flat_map(|(place, module)| {
        let name = graph.names[place].as_str();
        module.aliases.iter().filter_map(move |alias| Some((normalized(alias)?, name, place)))
    });
    bin(kernel, kmod, "modules.alias.bin", entries)
}

fn softdep(graph: &Graph<'_>) -> Vec<u8> {
    let softdeps = graph.modules.iter().zip(&graph.names);
    let softdeps =
        softdeps.flat_map(|(module, name)| module.softdeps.iter().map(move |s| format!("softdep {name} {s}")));
    lines("# Soft dependencies extracted from modules themselves.\n", &softdeps.collect::<Vec<_>>())
}

fn weakdep(graph: &Graph<'_>) -> Vec<u8> {
    let weakdeps = graph.modules.iter().zip(&graph.names);
    let weakdeps =
        weakdeps.flat_map(|(module, name)| module.weakdeps.iter().map(move |w| format!("weakdep {name} {w}")));
    lines("# Weak dependencies extracted from modules themselves.\n", &weakdeps.collect::<Vec<_>>())
}

fn symbols(graph: &Graph<'_>) -> Vec<u8> {
    let line = |(symbol, owner): (&str, usize)| format!("alias symbol:{symbol} {}", graph.names[owner]);
    let symbols: Vec<String> = graph.symbols().into_iter().map(line).collect();
    lines("# Aliases for symbols, used by symbol_request().\n", &symbols)
}

fn symbols_bin(kernel: &Kernel, kmod: Kmod, graph: &Graph<'_>) -> Result<Vec<u8>, DepmodError> {
    let entry = |(symbol, owner): (&str, usize)| (format!("symbol:{symbol}"), graph.names[owner].as_str(), owner);
    bin(kernel, kmod, "modules.symbols.bin", graph.symbols().into_iter().map(entry))
}

/// Empty, without even a header, when there is no `modules.builtin`.
fn builtin_bin(kernel: &Kernel, kmod: Kmod) -> Result<Vec<u8>, DepmodError> {
    let Some(paths) = &kernel.builtin else { return Ok(Vec::new()) };
    bin(kernel, kmod, "modules.builtin.bin", paths.iter().map(|path| (module_name(path), "", 0)))
}

/// Empty, without even a header, when there is no `modules.builtin.modinfo`.
fn builtin_alias_bin(kernel: &Kernel, kmod: Kmod) -> Result<Vec<u8>, DepmodError> {
    let Some(aliases) = &kernel.builtin_aliases else { return Ok(Vec::new()) };
    let entries = aliases.iter().filter_map(|(alias, name)| Some((normalized(alias)?, name.as_str(), 0)));
    bin(kernel, kmod, "modules.builtin.alias.bin", entries)
}

/// Returns the device nodes whose use loads a module.
fn devname(graph: &Graph<'_>) -> Vec<u8> {
    let mut text = String::new();
    for (module, name) in graph.modules.iter().zip(&graph.names) {
        if let Some((node, kind, major, minor)) = device(&module.aliases) {
            if text.is_empty() {
                text.push_str("# Device nodes to trigger on-demand module loading.\n");
            }
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name} {node} {kind}{major}:{minor}");
        }
    }
    text.into_bytes()
}

/// Returns `devname:` with `char-major-` or `block-major-`: the last of each until both are known.
fn device(aliases: &[String]) -> Option<(&str, char, u32, u32)> {
    let mut node = None;
    let mut number = None;
    for alias in aliases {
        if let Some(name) = alias.strip_prefix("devname:") {
            node = Some(name);
        } else if let Some(found) = device_number(alias) {
            number = Some(found);
        }
        if node.is_some() && number.is_some() {
            break;
        }
    }
    let (kind, major, minor) = number?;
    Some((node?, kind, major, minor))
}

/// Parses `char-major-10-234`; the text after the second number is ignored.
fn device_number(alias: &str) -> Option<(char, u32, u32)> {
    let kinds = [("char-major-", 'c'), ("block-major-", 'b')];
    let (rest, kind) = kinds.iter().find_map(|(prefix, kind)| Some((alias.strip_prefix(prefix)?, *kind)))?;
    let (major, minor) = rest.split_once('-')?;
    let digits = minor.find(|c: char| !c.is_ascii_digit()).unwrap_or(minor.len());
    Some((kind, major.parse().ok()?, minor[..digits].parse().ok()?))
}

/// kmod's `alias_normalize`: replaces `-` by `_` except inside `[…]`; returns `None` when a bracket
/// is unmatched.
pub(crate) fn normalized(alias: &str) -> Option<String> {
    let mut inside = false;
    let mut plain = String::with_capacity(alias.len());
    for c in alias.chars() {
        match (inside, c) {
            (false, '-') => plain.push('_'),
            (false, ']') => return None,
            _ => plain.push(c),
        }
        inside = if inside { c != ']' } else { c == '[' };
    }
    (!inside).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::super::graph::tests::kernel;
    use super::*;

    #[test]
    fn brackets_keep_their_dashes() {
        assert_eq!(normalized("a-b[0-9]-c").as_deref(), Some("a_b[0-9]_c"));
        assert_eq!(normalized("a[0-9"), None);
        assert_eq!(normalized("a]"), None);
    }

    #[test]
    fn device_nodes_need_a_name_and_a_number() {
        let device_of = |aliases: &[&str]| {
            let aliases: Vec<String> = aliases.iter().map(|alias| (*alias).to_owned()).collect();
            device(&aliases).map(|(node, kind, major, minor)| format!("{node} {kind}{major}:{minor}"))
        };
        assert_eq!(
            device_of(&["char-major-10-*", "char-major-10-234", "devname:fuse"]).as_deref(),
            Some("fuse c10:234")
        );
        assert_eq!(device_of(&["devname:loop", "block-major-7-0x", "devname:late"]).as_deref(), Some("loop b7:0"));
        assert_eq!(device_of(&["devname:fuse"]), None);
    }

    #[test]
    fn texts_are_depmods() {
        let mut kernel = kernel(&[("a", &["b"]), ("b", &[])]);
        kernel.order = Some(vec!["kernel/a.ko".into(), "kernel/b.ko".into()]);
        kernel.modules[0].aliases = vec!["fs-a".into()];
        kernel.modules[1].softdeps = vec!["pre: a".into()];
        let files = indexes(&KernelModules { kernels: vec![kernel] }, Kmod::V34).expect("indexes");
        let text = |name: &str| {
            let found = files.iter().find(|(path, _)| path.name() == name).expect("the file");
            String::from_utf8(found.1.clone()).expect("text")
        };
        assert_eq!(text("modules.dep"), "kernel/a.ko.xz: kernel/b.ko.xz\nkernel/b.ko.xz:\n");
        assert_eq!(text("modules.alias"), "# Aliases extracted from modules themselves.\nalias fs-a a\n");
        assert_eq!(
            text("modules.softdep"),
            "# Soft dependencies extracted from modules themselves.\nsoftdep b pre: a\n"
        );
        assert_eq!(text("modules.devname"), "");
        assert_eq!(text("modules.builtin.bin"), "");
    }
}
