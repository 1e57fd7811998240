//! Who must not know whom (docs/architecture.md), and what the sources never contain.
//!
//! The sources are read as Rust tokens, so that comments and strings do not count, nor does what is compiled for tests only.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Each room of `src/` and the rooms it may use. `cli` may use all of them.
const ROOMS: [(&str, &[&str]); 23] = [
    ("tree", &[]),
    ("progress", &[]),
    ("kubernetes", &[]),
    ("oci", &["tree"]),
    ("profile", &["kubernetes", "oci", "tree"]),
    ("source", &["oci", "progress", "tree"]),
    ("lock", &["oci", "profile", "progress", "source", "tree"]),
    ("pack", &["source", "tree"]),
    ("layer", &["pack", "profile", "tree"]),
    ("yaml", &[]),
    ("import", &["kubernetes", "profile", "yaml"]),
    ("render", &["kubernetes", "profile", "tree", "yaml"]),
    ("finalize", &["layer", "pack", "profile", "progress", "source", "tree"]),
    (
        "bake",
        &["finalize", "layer", "lock", "manifest", "oci", "pack", "profile", "progress", "render", "source", "tree"],
    ),
    ("format", &[]),
    ("artifact", &["format", "pack", "source", "tree"]),
    ("manifest", &["artifact", "layer", "profile", "tree"]),
    ("output", &["artifact", "layer", "lock", "manifest", "source", "tree"]),
    // They must not share a line with what wrote the bytes they read.
    ("image", &["tree"]),
    ("verify", &["image", "manifest", "tree"]),
    ("diff", &["image", "manifest", "tree"]),
    ("boot", &["profile"]),
    ("main", &["cli"]),
];

/// Names that only some rooms may say: the environment, the clock, the network, other programs.
const NAMES: [(&[&str], &[&str], &str); 9] = [
    (&["anyhow"], &["cli"], "errors below cli are typed"),
    (&["std", "env"], &["cli"], "only cli reads the environment"),
    (&["SystemTime", "now"], &["cli"], "only cli reads the clock"),
    (&["Timestamp", "now"], &["cli"], "only cli reads the clock"),
    (&["Instant"], &["cli", "progress", "source/http", "boot"], "time is measured for progress and time limits only"),
    (&["TcpStream"], &["source/http"], "the network is source/http's"),
    (&["ToSocketAddrs"], &["source/http"], "the network is source/http's"),
    (&["ureq"], &["source/http"], "the network is source/http's"),
    (&["std", "process", "Command"], &["boot"], "no other program runs at build time"),
];

/// No source is longer.
const MAX_LINES: usize = 700;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below `dir` that are the project's own, relative to its root, sorted.
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

/// A path as the source spells it, `use` groups resolved, with the line it begins in: `std::{env, io}` is `std::env` and `std::io`.
type Spelt = (Vec<String>, usize);

/// What a source says outside tests.
#[derive(Debug, Default)]
struct Said {
    paths: Vec<Spelt>,
    /// Modules compiled for tests only, which live in files of their own.
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
            match &tokens[at] {
                TokenTree::Punct(_) if is(at, '#') && is_cfg_test(tokens.get(at + 1)) => {
                    at = self.skip_item(&tokens, at + 2)
                }
                TokenTree::Ident(_) => {
                    let line = tokens[at].span().start().line;
                    let mut path = prefix.to_vec();
                    // A method or field is no path, but `.unwrap()` is of interest.
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

    /// The number of the token after the item at `at`.
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

/// `[cfg(test)]`, after its `#`.
fn is_cfg_test(token: Option<&TokenTree>) -> bool {
    let text = token.map(|token| token.to_string().replace(char::is_whitespace, ""));
    text.is_some_and(|text| text == "[cfg(test)]")
}

/// `src/a/b.rs` and `src/a/b/mod.rs` are the module `a::b`; `src/lib.rs` is the crate.
fn module(path: &Path) -> Vec<String> {
    let path = path.strip_prefix("src").expect("below src").with_extension("");
    let mut names: Vec<String> = path.iter().map(|name| name.to_string_lossy().into_owned()).collect();
    if names.last().is_some_and(|name| name == "mod" || name == "lib") {
        names.pop();
    }
    names
}

/// The room of this crate that `path`, spelt in `module`, leads to.
fn room(path: &[String], module: &[String]) -> Option<String> {
    if matches!(path[0].as_str(), "crate" | "kiln") {
        return path.get(1).cloned();
    }
    let ups = path.iter().take_while(|name| *name == "super").count();
    (ups > 0 && ups >= module.len()).then(|| path.get(ups).cloned())?
}

/// Every breach of [`ROOMS`] and [`NAMES`] by the source `path`.
fn breaches(path: &Path, text: &str) -> Vec<String> {
    let module = module(path);
    let Some(own) = module.first() else { return Vec::new() };
    let rooms: BTreeMap<_, _> = ROOMS.into_iter().collect();
    let mut breaches = Vec::new();
    for (spelt, line) in Said::of(text).paths {
        let mut breach = |why: &str| breaches.push(format!("{}:{line}: {}: {why}", path.display(), spelt.join("::")));
        if let Some(other) = room(&spelt, &module)
            && other != *own
            && own != "cli"
        {
            match rooms.get(own.as_str()) {
                Some(allowed) if allowed.contains(&other.as_str()) => {}
                Some(_) => breach(&format!("{own} must not know {other}")),
                None => breach(&format!("{own} is a new room: say in tests/layering.rs whom it may know")),
            }
        }
        let inside = module.join("/");
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
        let dir = module(path).iter().fold(PathBuf::from("src"), |dir, name| dir.join(name));
        for name in Said::of(&read(path)).test_modules {
            found.extend([dir.join(format!("{name}.rs")), dir.join(&name).join("mod.rs")]);
        }
    }
    found
}

#[test]
fn rooms_know_only_whom_they_may() {
    let paths = sources(&["src"]);
    let tests = test_files(&paths);
    let breaches: Vec<String> =
        paths.iter().filter(|path| !tests.contains(*path)).flat_map(|path| breaches(path, &read(path))).collect();
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn programs_of_nodes_do_not_depend_on_the_builder() {
    for program in ["agent", "init"] {
        for path in sources(&[program]) {
            for (spelt, line) in Said::of(&read(&path)).paths {
                assert!(spelt[0] != "kiln", "{}:{line}: {}", path.display(), spelt.join("::"));
            }
        }
        let manifest = read(&Path::new(program).join("Cargo.toml"));
        assert!(
            !manifest.lines().any(|line| line.starts_with("kiln ") || line.contains("\"..\"")),
            "{program}/Cargo.toml: {manifest}"
        );
    }
}

/// A call of the C library with two numbers, and calls of the kernel that have no safe form; the reasons are written beside them.
const UNSAFE: [&str; 2] = ["src/allocator.rs", "init/src/ioctl.rs"];

#[test]
fn there_is_no_unsafe_code() {
    let mut all = sources(&["src", "agent", "init", "tests"]);
    all.push("build.rs".into());
    for path in all.into_iter().filter(|path| !UNSAFE.iter().any(|allowed| path == Path::new(allowed))) {
        for (spelt, line) in Said::of(&read(&path)).paths {
            assert!(spelt[0] != "unsafe", "{}:{line}: unsafe", path.display());
        }
    }
}

#[test]
fn no_source_is_long() {
    for path in sources(&["src", "agent", "init", "tests"]) {
        let lines = read(&path).lines().count();
        assert!(lines <= MAX_LINES, "{}: {lines} lines: what are its two reasons to exist?", path.display());
    }
}

#[test]
fn the_architecture_page_has_every_room() {
    let page = read(Path::new("docs/architecture.md"));
    for (room, _) in ROOMS.iter().filter(|(room, _)| *room != "main") {
        assert!(page.contains(&format!("\n| `{room}` | ")), "docs/architecture.md does not describe {room}");
    }
}

/// The packages that messages in `text` ask for: "install the Debian packages gnupg and gpgv".
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
fn what_tests_ask_for_is_installed_by_setup() {
    let setup = std::process::Command::new("bash").arg(root().join("hack/setup.sh")).args(["test", "--list"]).output();
    let list = String::from_utf8(setup.expect("bash").stdout).expect("names");
    let installed: BTreeSet<&str> = list.lines().collect();
    assert!(installed.contains("gpgv"), "{list}");
    for path in sources(&["tests"]).iter().filter(|path| *path != Path::new("tests/layering.rs")) {
        let text = read(path);
        let missing: Vec<_> = asked_for(&text).into_iter().filter(|name| !installed.contains(name)).collect();
        assert!(missing.is_empty(), "{}: hack/setup.sh does not install {missing:?}", path.display());
    }
    let text = "(\"x: install the Debian packages gnupg and gpgv\"); \"install the package a-b, or c\"";
    assert_eq!(asked_for(text).into_iter().collect::<Vec<_>>(), ["a-b", "gnupg", "gpgv"]);
}

/// Hosts `*.debian.org` that are not mirrors, and invented ones.
const NO_MIRRORS: [&str; 7] = ["bugs", "manpages", "packages", "tracker", "wiki", "www", "xy"];

/// What `text` says of one machine or its network, by line.
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
    let apt = kiln::source::deb::apt_sources::read(Path::new("/")).expect("apt's sources");
    let host = |url: &String| Some(url.split("://").nth(1)?.split('/').next()?.rsplit('@').next()?.to_owned());
    let mut hosts: Vec<String> = apt.mirrors.iter().chain(&apt.security_mirrors).filter_map(host).collect();
    assert!(!hosts.is_empty(), "this machine's apt sources name no mirror");
    // A proxy on this machine is no mirror, and tests have servers there.
    hosts.retain(|host| !host.starts_with("127.") && !host.starts_with("localhost"));
    let paths = [format!("{}/", root().display())];
    let mut found = Vec::new();
    for path in files(root()) {
        // Binary files are for their own tests.
        let Ok(text) = fs::read_to_string(root().join(&path)) else { continue };
        found.extend(leaks(&text, &hosts, &paths).into_iter().map(|leak| format!("{}:{leak}", path.display())));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The checks themselves: each notices what it is for, however it is spelt.
#[test]
fn breaches_are_noticed() {
    let bad = |path: &str, text: &str| breaches(Path::new(path), text).len();
    for (path, text) in [
        ("src/format/cpio.rs", "use crate::profile::Profile;"),
        ("src/format/cpio.rs", "use crate::{profile};"),
        ("src/format/cpio.rs", "use {crate::profile::Profile as P};"),
        ("src/format/cpio.rs", "fn f() { super::super::tree::f() }"),
        ("src/format/mod.rs", "use super::tree;"),
        ("src/format/cpio.rs", "fn f() { g!(crate::tree::X) }"),
        ("src/format/cpio.rs", "fn f() -> anyhow::Result<()> { Ok(()) }"),
        ("src/render/mod.rs", "use crate::{profile::{Arch, Profile}, format::cpio};"),
        ("src/finalize/units/mod.rs", "type T = crate::format::cpio::Header;"),
        ("src/verify/initramfs.rs", "use crate::artifact::pxe;"),
        ("src/novel/mod.rs", "use crate::tree::FileTree;"),
        ("src/source/cache.rs", "use std::{env, io};"),
        ("src/source/cache.rs", "fn f() { std::env::var(\"HOME\"); }"),
        ("src/source/cache.rs", "fn f() { std::time::SystemTime::now(); }"),
        ("src/source/fetch.rs", "use std::net::TcpStream;"),
        ("src/lock.rs", "use std::time::{Duration, Instant};"),
        ("src/bake.rs", "use std::process::{Child, Command};"),
        ("src/bake.rs", "fn f() { g().unwrap() }"),
    ] {
        assert_eq!(bad(path, text), 1, "{path}: {text}");
    }
    for (path, text) in [
        ("src/format/cpio.rs", "use super::frames; use self::x; use std::io::{self, Write};"),
        ("src/format/cpio.rs", "// crate::tree\n/// crate::tree\nconst X: &str = \"crate::tree\";"),
        ("src/format/cpio.rs", "#[cfg(test)]\nmod tests { use crate::tree::X; fn f() { g().unwrap() } }"),
        ("src/format/frames/one.rs", "use super::super::cpio;"),
        ("src/render/mod.rs", "const X: &[u8] = include_bytes!(env!(\"X\"));"),
        ("src/source/http/retry.rs", "use std::time::Instant;"),
        ("src/bake.rs", "fn f() { g().unwrap_or(1) }"),
    ] {
        assert_eq!(bad(path, text), 0, "{path}: {text}");
    }
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
