//! Checks the dependencies between rooms (docs/architecture.md), and that sources do not contain
//! forbidden things. The sources are read as Rust tokens, so that comments, strings and code for
//! tests are ignored.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Crates that must not depend on others, even indirectly. The crates' manifests define direct
/// dependencies.
const NEVER: [(&str, &[&str], &str); 6] = [
    ("kiln-agent", &["kiln"], "programs of nodes do not depend on the builder"),
    ("kiln-init", &["kiln"], "programs of nodes do not depend on the builder"),
    ("kiln-format", &["kiln"], "a format takes plain values"),
    ("kiln-image", &["kiln-format", "kiln-artifact", "kiln-pack"], "readers share no line with the writers"),
    ("kiln-verify", &["kiln-format", "kiln-artifact", "kiln-pack"], "what judges an output calls no writer"),
    (
        "kiln-render",
        &["kiln-format", "kiln-artifact", "kiln-source"],
        "a node's files depend on no format and no network",
    ),
];

/// Names that only some rooms may use: the environment, the clock, files by name, the network, other
/// programs.
const NAMES: [(&[&str], &[&str], &str); 13] = [
    (&["anyhow"], &["kiln/cli"], "errors below cli are typed"),
    (&["std", "env"], &["kiln/cli"], "only cli reads the environment"),
    (&["SystemTime", "now"], &["kiln/cli"], "only cli reads the clock"),
    (&["Timestamp", "now"], &["kiln/cli"], "only cli reads the clock"),
    (&["File", "open"], &["file", "kiln/cli", "kiln/build"], "kiln-file opens only regular files, so nothing waits"),
    (&["fs", "read"], &["file", "tree"], "kiln-file reads up to a limit"),
    (&["fs", "read_to_string"], &["file"], "kiln-file reads up to a limit"),
    (
        &["Instant"],
        &["kiln/cli", "progress", "source/http", "kiln/boot"],
        "time is measured for progress and time limits only",
    ),
    (&["TcpStream"], &["source/http"], "the network is source/http's"),
    (&["ToSocketAddrs"], &["source/http"], "the network is source/http's"),
    (&["ureq"], &["source/http"], "the network is source/http's"),
    (&["std", "process", "Command"], &["kiln/boot"], "no other program runs at build time"),
    (
        &[".", "expose"],
        &["source/http", "source/deb/repository", "render/containerd", "kiln/cli/host"],
        "a URL is shown without its secrets",
    ),
];

/// Rooms that may compare a `minor`: the one with the rules of Kubernetes releases, and one with
/// minor numbers of devices.
const COMPARES_MINOR: [&str; 2] = ["kubernetes", "format"];

/// The maximum number of lines of a source.
const MAX_LINES: usize = 700;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files of the project below `dir`, relative to its root, sorted.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry")) {
        let path = entry.path();
        let relative = path.strip_prefix(root()).expect("below the root").to_owned();
        let foreign = [".git", "target", "out"].iter().any(|name| relative == Path::new(name));
        match entry.file_type().expect("a type") {
            kind if kind.is_dir() && !foreign => found.extend(files(&path)),
            kind if kind.is_file() && !foreign => found.push(relative),
            _ => {}
        }
    }
    found.sort();
    found
}

fn sources(dirs: &[&str]) -> Vec<PathBuf> {
    let is_rust = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs");
    dirs.iter().flat_map(|dir| files(&root().join(dir))).filter(is_rust).collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A path as written in the source, with `use` groups resolved, and the line in which it begins:
/// `std::{env, io}` is `std::env` and `std::io`.
type Spelt = (Vec<String>, usize);

/// The contents of a source outside tests.
#[derive(Debug, Default)]
struct Said {
    paths: Vec<Spelt>,
    /// String literals with their lines, without documentation.
    texts: Vec<(String, usize)>,
    /// Lines in which something named `minor` is compared, or matched against patterns.
    compared: Vec<usize>,
    /// Modules compiled for tests only that are separate files.
    test_modules: BTreeSet<String>,
}

impl Said {
    fn of(text: &str) -> Self {
        let mut said = Self::default();
        said.scan(TokenStream::from_str(text).expect("Rust"), &[]);
        said
    }

    fn scan(&mut self, tokens: TokenStream, prefix: &[String]) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let is = |at: usize, char: char| matches!(tokens.get(at), Some(TokenTree::Punct(it)) if it.as_char() == char);
        let mut at = 0;
        while at < tokens.len() {
            if is_compared(&tokens, at) {
                self.compared.push(tokens[at].span().start().line);
            }
            match &tokens[at] {
                TokenTree::Punct(_) if is(at, '#') && is_cfg_test(tokens.get(at + 1)) => {
                    at = self.skip_item(&tokens, at + 2)
                }
                TokenTree::Punct(_) if is(at, '#') && is_documentation(&tokens[at + 1..]) => {
                    at += if is(at + 1, '!') { 3 } else { 2 };
                }
                TokenTree::Literal(literal) => {
                    let line = literal.span().start().line;
                    self.texts.extend(unquoted(&literal.to_string()).map(|text| (text, line)));
                    at += 1;
                }
                TokenTree::Ident(_) => {
                    let line = tokens[at].span().start().line;
                    let mut path = prefix.to_vec();
                    // A method or field is not a path, but `.unwrap()` is checked.
                    if at > 0 && is(at - 1, '.') {
                        path.push(".".to_owned());
                    }
                    path.push(tokens[at].to_string());
                    at += 1;
                    while is(at, ':') && is(at + 1, ':') {
                        match tokens.get(at + 2) {
                            Some(TokenTree::Ident(ident)) => path.push(ident.to_string()),
                            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                                self.scan(group.stream(), &path);
                            }
                            _ => {}
                        }
                        at += 3;
                    }
                    self.paths.push((path, line));
                }
                TokenTree::Group(group) => {
                    self.scan(group.stream(), &[]);
                    at += 1;
                }
                _ => at += 1,
            }
        }
    }

    /// The index of the token after the item at `at`.
    fn skip_item(&mut self, tokens: &[TokenTree], mut at: usize) -> usize {
        let mut name = None;
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token {
                TokenTree::Ident(ident) if ident == "mod" => name = tokens.get(at).map(ToString::to_string),
                TokenTree::Punct(punct) if punct.as_char() == ';' => {
                    self.test_modules.extend(name);
                    break;
                }
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => break,
                _ => {}
            }
        }
        at
    }
}

/// Whether the token at `at` is `minor`, or a tuple with `minor` in it: the last token of an
/// operand.
fn is_minor(tokens: &[TokenTree], at: usize) -> bool {
    const KEYWORDS: [&str; 5] = ["if", "in", "match", "return", "while"];
    let is_call = |before: &TokenTree| {
        matches!(before, TokenTree::Ident(ident) if !KEYWORDS.iter().any(|keyword| ident == keyword))
            || matches!(before, TokenTree::Punct(punct) if punct.as_char() == '!')
    };
    match tokens.get(at) {
        Some(TokenTree::Ident(ident)) => ident == "minor",
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis => {
            let inside: Vec<TokenTree> = group.stream().into_iter().collect();
            let called = at.checked_sub(1).is_some_and(|before| is_call(&tokens[before]));
            !called && (0..inside.len()).any(|at| is_minor(&inside, at))
        }
        _ => false,
    }
}

/// Whether the operand that ends at `at` is a `minor` that is compared, or is the operand of
/// `match` or `matches!`.
fn is_compared(tokens: &[TokenTree], at: usize) -> bool {
    if let Some(TokenTree::Group(group)) = tokens.get(at)
        && at >= 2
        && tokens[at - 2].to_string() == "matches"
    {
        let inside: Vec<TokenTree> = group.stream().into_iter().collect();
        let comma = inside.iter().position(|token| token.to_string() == ",");
        return comma.is_some_and(|comma| comma > 0 && is_minor(&inside, comma - 1));
    }
    if !is_minor(tokens, at) {
        return false;
    }
    let is = |at: usize, char: char| matches!(tokens.get(at), Some(TokenTree::Punct(it)) if it.as_char() == char);
    let equals = |at: usize| (is(at, '=') || is(at, '!')) && is(at + 1, '=');
    if is(at + 1, '<') || is(at + 1, '>') || equals(at + 1) {
        return true;
    }
    // Skips `profile.release.kubernetes.`, `&` and `*` backwards, to the token before the operand.
    let part = |token: &TokenTree| match token {
        TokenTree::Ident(ident) => ident != "match",
        TokenTree::Punct(punct) => ['.', '&', '*'].contains(&punct.as_char()),
        _ => false,
    };
    let begin = tokens[..at].iter().rposition(|token| !part(token)).map_or(0, |before| before + 1);
    let Some(before) = begin.checked_sub(1) else { return false };
    let sign = |back: usize, char: char| before.checked_sub(back).is_some_and(|at| is(at, char));
    matches!(&tokens[before], TokenTree::Ident(ident) if ident == "match")
        || (is(before, '<') || is(before, '>')) && !sign(1, '=') && !sign(1, '-')
        || is(before, '=') && ['<', '>', '=', '!'].into_iter().any(|char| sign(1, char))
}

/// `[cfg(test)]`, after its `#`.
fn is_cfg_test(token: Option<&TokenTree>) -> bool {
    let text = token.map(|token| token.to_string().replace(char::is_whitespace, ""));
    text.is_some_and(|text| text == "[cfg(test)]")
}

/// `[doc = "…"]` or `![doc = "…"]`, after its `#`.
fn is_documentation(tokens: &[TokenTree]) -> bool {
    let attribute = tokens.iter().find(|token| matches!(token, TokenTree::Group(_)));
    attribute.is_some_and(|attribute| attribute.to_string().trim_start_matches(['[', ' ']).starts_with("doc "))
}

/// The text of a string literal, without quotes and line breaks.
fn unquoted(literal: &str) -> Option<String> {
    let start = literal.find('"').filter(|at| literal[..*at].chars().all(|char| matches!(char, 'r' | 'b' | '#')))?;
    let end = literal.rfind('"').filter(|end| *end > start)?;
    Some(literal[start + 1..end].replace("\\\"", "\"").replace("\\\n", " "))
}

/// `crates/a/src/b/c.rs` and `crates/a/src/b/c/mod.rs` are the module `a/b/c`; below `src` it is
/// `kiln/b/c`.
fn module(path: &Path) -> Vec<String> {
    let path = path.with_extension("");
    let mut names: Vec<String> = path.iter().map(|name| name.to_string_lossy().into_owned()).collect();
    match names[0].as_str() {
        "crates" => drop(names.drain(..1)),
        "src" => names[0] = "kiln".to_owned(),
        other => panic!("{other} has no modules of the builder"),
    }
    names.retain(|name| name != "src");
    if names.last().is_some_and(|name| name == "mod" || name == "lib") {
        names.pop();
    }
    names
}

/// Every violation of [`NAMES`] by the source `path`.
fn breaches(path: &Path, text: &str) -> Vec<String> {
    let inside = module(path).join("/");
    let said = Said::of(text);
    let mut breaches = Vec::new();
    if !COMPARES_MINOR.iter().any(|room| inside == *room || inside.starts_with(&format!("{room}/"))) {
        let why = "what a release of Kubernetes does is a predicate in crates/kubernetes/src/release.rs";
        breaches.extend(said.compared.iter().map(|line| format!("{}:{line}: minor: {why}", path.display())));
    }
    for (spelt, line) in said.paths {
        let mut breach = |why: &str| breaches.push(format!("{}:{line}: {}: {why}", path.display(), spelt.join("::")));
        for (name, rooms, why) in NAMES {
            let says = spelt.windows(name.len()).any(|window| window == name);
            if says && !rooms.iter().any(|room| inside == *room || inside.starts_with(&format!("{room}/"))) {
                breach(why);
            }
        }
        if spelt.len() == 2 && spelt[0] == "." && spelt[1] == "unwrap" {
            breach("an error is handled or explained");
        }
    }
    breaches
}

/// `src/a/tests.rs` for `#[cfg(test)] mod tests;` in `src/a.rs` or `src/a/mod.rs`.
fn test_files(paths: &[PathBuf]) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for path in paths {
        let stem = path.file_stem().expect("a file");
        let mut dir = path.parent().expect("a directory").to_owned();
        if !["mod", "lib", "main"].iter().any(|name| stem == *name) {
            dir.push(stem);
        }
        for name in Said::of(&read(path)).test_modules {
            found.extend([dir.join(format!("{name}.rs")), dir.join(&name).join("mod.rs")]);
        }
    }
    found
}

/// The builder's crates, by directory. `testing` is not included: no program depends on it.
fn crates() -> Vec<String> {
    let entries =
        fs::read_dir(root().join("crates")).expect("crates").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<_> =
        entries.map(|name| name.into_string().expect("UTF-8")).filter(|it| it != "testing").collect();
    names.sort();
    names
}

/// Every string literal of the builder's programs, with its file and line.
pub(crate) fn texts() -> Vec<(String, PathBuf, usize)> {
    let paths = builder();
    let tests = test_files(&paths);
    let of_file = |path: &PathBuf| -> Vec<_> {
        Said::of(&read(path)).texts.into_iter().map(|(text, line)| (text, path.clone(), line)).collect()
    };
    paths.iter().filter(|path| !tests.contains(*path)).flat_map(of_file).collect()
}

/// The sources of the builder.
pub(crate) fn builder() -> Vec<PathBuf> {
    let dirs: Vec<String> = crates().iter().map(|name| format!("crates/{name}/src")).collect();
    sources(&dirs.iter().map(String::as_str).chain(["src"]).collect::<Vec<_>>())
}

#[test]
fn rooms_use_only_allowed_names() {
    let paths = builder();
    assert!(paths.len() > 300, "only {} sources", paths.len());
    let tests = test_files(&paths);
    let breaches: Vec<String> =
        paths.iter().filter(|path| !tests.contains(*path)).flat_map(|path| breaches(path, &read(path))).collect();
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

/// The names in `[dependencies]` and `[build-dependencies]` of a manifest; dependencies of tests do
/// not count.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut counts = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            counts = ["[dependencies]", "[build-dependencies]"].contains(&line);
        } else if counts && let Some(name) = line.split(['.', ' ', '=']).next().filter(|name| !name.is_empty()) {
            found.insert(name.to_owned());
        }
    }
    found
}

/// Every package of the workspace on which `name` depends, directly or not.
fn reached(name: &str, all: &BTreeMap<String, BTreeSet<String>>, found: &mut BTreeSet<String>) {
    for other in all.get(name).into_iter().flatten().filter(|other| all.contains_key(*other)) {
        if found.insert(other.clone()) {
            reached(other, all, found);
        }
    }
}

#[test]
fn crates_have_only_allowed_dependencies() {
    let mut all = BTreeMap::new();
    let directories = crates().into_iter().map(|name| format!("crates/{name}"));
    for directory in directories.chain(["agent".into(), "init".into(), "crates/testing".into(), String::new()]) {
        let manifest = read(&Path::new(&directory).join("Cargo.toml"));
        let (_, name) = manifest.split_once("name = \"").expect("a name");
        all.insert(name.split('"').next().expect("a name").to_owned(), dependencies(&manifest));
    }
    let reach = |name: &str| {
        let mut found = BTreeSet::new();
        reached(name, &all, &mut found);
        found
    };
    assert!(reach("kiln").contains("kiln-format") && reach("kiln-bake").contains("kiln-tree"), "{all:?}");
    for (name, others, why) in NEVER {
        assert!(all.contains_key(name), "{name} is gone");
        for other in others {
            // "kiln" means every package of the builder.
            let broken: Vec<_> = reach(name).into_iter().filter(|it| it == other || *other == "kiln").collect();
            assert!(broken.is_empty(), "{name} reaches {broken:?}: {why}");
        }
    }
    for name in all.keys().filter(|name| *name != "kiln-testing") {
        assert!(!reach(name).contains("kiln-testing"), "{name} ships what only tests may use");
    }
}

/// Exceptions: a call of the C library with two numbers, and system calls without a safe wrapper;
/// the code contains the reasons.
const UNSAFE: [&str; 2] = ["src/allocator.rs", "init/src/ioctl.rs"];

#[test]
fn there_is_no_unsafe_code() {
    let all = sources(&["src", "crates", "agent", "init", "tests"]);
    for path in all.into_iter().filter(|path| !UNSAFE.iter().any(|allowed| path == Path::new(allowed))) {
        for (spelt, line) in Said::of(&read(&path)).paths {
            assert!(spelt[0] != "unsafe", "{}:{line}: unsafe", path.display());
        }
    }
}

#[test]
fn no_source_is_long() {
    for path in sources(&["src", "crates", "agent", "init", "tests"]) {
        let lines = read(&path).lines().count();
        assert!(lines <= MAX_LINES, "{}: {lines} lines: what are its two reasons to exist?", path.display());
    }
}

/// Rooms that are modules of a crate with another name, by path: too large or too different to be
/// omitted from the page.
const INNER_ROOMS: [&str; 5] = [
    "crates/kubernetes/src/yaml.rs",
    "crates/profile/src/import",
    "crates/pack/src/layer",
    "crates/bake/src/lock.rs",
    "crates/verify/src/diff",
];

#[test]
fn the_architecture_page_has_every_room() {
    let page = read(Path::new("docs/architecture.md"));
    let mut rooms = crates();
    let entries = fs::read_dir(root().join("src")).expect("src").map(|entry| entry.expect("an entry").path());
    let name = |path: &Path| path.file_stem().expect("a name").to_string_lossy().into_owned();
    rooms.extend(entries.filter(|path| path.is_dir()).map(|path| name(&path)));
    for path in INNER_ROOMS {
        assert!(root().join(path).exists(), "{path} has moved");
        rooms.push(name(Path::new(path)));
    }
    for room in rooms {
        assert!(page.contains(&format!("\n| `{room}` | ")), "docs/architecture.md does not describe {room}");
    }
}

/// The packages named in messages of `text`: "install the Debian packages gnupg and gpgv".
fn asked_for(text: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    for ask in ["install the Debian package", "install the package"] {
        for (at, _) in text.match_indices(ask) {
            let rest = text[at + ask.len()..].trim_start_matches('s');
            let names = rest.split(['"', ')', ',', ';', '{', '\n']).next().unwrap_or_default();
            found.extend(names.split_whitespace().filter(|name| *name != "and"));
        }
    }
    found
}

#[test]
fn setup_installs_the_packages_that_tests_name() {
    let setup = std::process::Command::new("bash").arg(root().join("hack/setup.sh")).args(["test", "--list"]).output();
    let list = String::from_utf8(setup.expect("bash").stdout).expect("names");
    let installed: BTreeSet<&str> = list.lines().collect();
    assert!(installed.contains("gpgv"), "{list}");
    for path in sources(&["tests", "crates"]).iter().filter(|path| *path != Path::new("tests/it/layering.rs")) {
        let text = read(path);
        let missing: Vec<_> = asked_for(&text).into_iter().filter(|name| !installed.contains(name)).collect();
        assert!(missing.is_empty(), "{}: hack/setup.sh does not install {missing:?}", path.display());
    }
    let text = "(\"x: install the Debian packages gnupg and gpgv\"); \"install the package a-b, or c\"";
    assert_eq!(asked_for(text).into_iter().collect::<Vec<_>>(), ["a-b", "gnupg", "gpgv"]);
}

/// Hosts `*.debian.org` that are not mirrors, and fictitious ones.
const NO_MIRRORS: [&str; 7] = ["bugs", "manpages", "packages", "tracker", "wiki", "www", "xy"];

/// References in `text` to a specific machine or its network, by line.
fn leaks(text: &str, hosts: &[String], paths: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let mut leak = |what: &str| found.push(format!("{}: {what}", number + 1));
        for (at, _) in line.match_indices(".debian.org") {
            let host = line[..at].rsplit(|char: char| !char.is_ascii_alphanumeric()).next().unwrap_or_default();
            if !host.is_empty() && !NO_MIRRORS.contains(&host) {
                leak(&format!("{host}.debian.org is a mirror"));
            }
        }
        hosts.iter().filter(|host| line.contains(host.as_str())).for_each(|host| leak(host));
        paths.iter().filter(|path| line.contains(path.as_str())).for_each(|path| leak(path));
    }
    found
}

#[test]
fn nothing_mentions_a_mirror_or_this_machine() {
    let apt = kiln_source::deb::apt_sources::read(Path::new("/")).expect("apt's sources");
    let host =
        |url: &kiln_url::Url| Some(url.expose().split("://").nth(1)?.split('/').next()?.rsplit('@').next()?.to_owned());
    let mut hosts: Vec<String> = apt.mirrors.iter().chain(&apt.security_mirrors).filter_map(host).collect();
    assert!(!hosts.is_empty(), "this machine's apt sources name no mirror");
    // A proxy on this machine is not a mirror, and tests run servers there.
    hosts.retain(|host| !host.starts_with("127.") && !host.starts_with("localhost"));
    let paths = [format!("{}/", root().display())];
    let mut found = Vec::new();
    for path in files(root()) {
        // Binary files are not checked here.
        let Ok(text) = fs::read_to_string(root().join(&path)) else { continue };
        found.extend(leaks(&text, &hosts, &paths).into_iter().map(|leak| format!("{}:{leak}", path.display())));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Tests of the checks: each detects its violations in every spelling.
#[test]
fn violations_are_detected() {
    let bad = |path: &str, text: &str| breaches(Path::new(path), text).len();
    for (path, text) in [
        ("crates/format/src/cpio.rs", "fn f() -> anyhow::Result<()> { Ok(()) }"),
        ("crates/cache/src/lib.rs", "use std::{env, io};"),
        ("crates/cache/src/blob.rs", "fn f() { std::env::var(\"HOME\"); }"),
        ("crates/cache/src/blob.rs", "fn f() { std::time::SystemTime::now(); }"),
        ("crates/source/src/fetch.rs", "use std::net::TcpStream;"),
        ("crates/bake/src/lock.rs", "use std::time::{Duration, Instant};"),
        ("crates/bake/src/lib.rs", "use std::process::{Child, Command};"),
        ("crates/bake/src/lib.rs", "fn f() { g().unwrap() }"),
        ("src/build/mod.rs", "use std::{env};"),
        ("src/build/mod.rs", "use std::time::SystemTime; fn f() { SystemTime::now(); }"),
        ("src/build/error.rs", "use anyhow::Context;"),
        ("crates/render/src/kubelet.rs", "fn f() { if minor < 24 {} }"),
        ("crates/render/src/kubelet.rs", "fn f() { if 24 <= minor {} }"),
        ("crates/render/src/kubelet.rs", "fn f() { g(release.kubernetes.minor >= 24) }"),
        ("crates/render/src/kubelet.rs", "fn f() { minor == 24 }"),
        ("crates/render/src/kubelet.rs", "fn f() { 24 != profile.minor }"),
        ("crates/profile/src/check/mod.rs", "fn f() { if (minor, patch) < (21, 8) {} }"),
        ("crates/profile/src/check/mod.rs", "fn f() { match (ipv4, minor) { (true, ..33) => 1, _ => 2 } }"),
        ("crates/profile/src/check/mod.rs", "fn f() { match version.minor { 33.. => 1, _ => 2 } }"),
        ("crates/profile/src/check/mod.rs", "fn f() { matches!(version.minor, 33..) }"),
    ] {
        assert_eq!(bad(path, text), 1, "{path}: {text}");
    }
    for (path, text) in [
        ("crates/format/src/cpio.rs", "use super::frames; use self::x; use std::io::{self, Write};"),
        ("crates/format/src/cpio.rs", "// anyhow::x\n/// std::env\nconst X: &str = \"std::env\";"),
        ("crates/format/src/cpio.rs", "#[cfg(test)]\nmod tests { use std::env; fn f() { g().unwrap() } }"),
        ("crates/render/src/lib.rs", "const X: &[u8] = include_bytes!(env!(\"X\"));"),
        ("crates/source/src/http/retry.rs", "use std::time::Instant;"),
        ("crates/bake/src/lib.rs", "fn f() { g().unwrap_or(1) }"),
        ("src/cli/host.rs", "use std::env;"),
        ("crates/render/src/kubelet.rs", "fn f() { if minor.has_taints_field() && a < 24 {} }"),
        ("crates/render/src/kubelet.rs", "fn f() { match flag(name, minor) { _ => minor } }"),
        ("crates/render/src/kubelet.rs", "fn f(minor: Minor) -> Result<X, Y> { let minor = a.minor; g(minor, 1) }"),
        ("crates/kubernetes/src/release.rs", "fn f() { self.minor < 24 }"),
    ] {
        assert_eq!(bad(path, text), 0, "{path}: {text}");
    }
    let manifest = "[dependencies]\na.workspace = true\nb-c = { x = 1 }\n\n[dev-dependencies]\nd = 1\n";
    assert_eq!(dependencies(manifest), ["a".to_owned(), "b-c".to_owned()].into());
    assert_eq!(
        Said::of("#[cfg(test)]\nmod fixture;\nfn f() {}").test_modules.into_iter().collect::<Vec<_>>(),
        ["fixture"]
    );
    assert_eq!(Said::of("fn f() { unsafe { g() } }").paths.iter().filter(|(path, _)| path[0] == "unsafe").count(), 1);

    let host = ["deb", "debian", "org"].join(".");
    let found = leaks(
        &format!("fine\nhttp://{host}/debian\nhttps://wiki.debian.org/x\nm.example\n/a/b/c"),
        &["m.example".into()],
        &["/a/b/".into()],
    );
    assert_eq!(found, [&format!("2: {host} is a mirror"), "4: m.example", "5: /a/b/"]);
}
