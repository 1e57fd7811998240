//! Finds units in a tree: search paths, aliases, links, templates, drop-ins.

use super::install::Install;
use super::name::{self, Form};
use crate::input::{self, InputError};
use kiln_tree::{ContentReader, FileTree, Kind};

/// The manager whose units are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// PID 1.
    System,
    /// Every user's manager (`systemctl --global`).
    User,
}

impl Scope {
    /// The search path, highest priority first; directories below `/run` are empty in an image.
    pub(super) const fn dirs(self) -> &'static [&'static str] {
        match self {
            Self::System => &[
                "etc/systemd/system.control",
                "etc/systemd/system",
                "etc/systemd/system.attached",
                "usr/local/lib/systemd/system",
                "usr/lib/systemd/system",
            ],
            Self::User => &[
                "etc/systemd/user",
                "usr/local/share/systemd/user",
                "usr/share/systemd/user",
                "usr/local/lib/systemd/user",
                "usr/lib/systemd/user",
            ],
        }
    }

    /// The directory to which enablement is written.
    pub(crate) fn config(self) -> &'static str {
        match self {
            Self::System => "etc/systemd/system",
            Self::User => "etc/systemd/user",
        }
    }

    /// The directories of presets, highest priority first.
    pub(super) const fn preset_dirs(self) -> &'static [&'static str] {
        match self {
            Self::System => {
                &["etc/systemd/system-preset", "usr/local/lib/systemd/system-preset", "usr/lib/systemd/system-preset"]
            }
            Self::User => {
                &["etc/systemd/user-preset", "usr/local/lib/systemd/user-preset", "usr/lib/systemd/user-preset"]
            }
        }
    }
}

/// The result of looking up a unit name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// A unit file; the name is that of the target if the requested one is an alias.
    Unit { name: String, path: String },
    /// A link to `/dev/null`, or an empty file.
    Masked { path: String },
    /// No such unit, or a dangling alias.
    Missing,
}

/// The number of links that systemd follows (`UNIT_FILE_FOLLOW_SYMLINK_MAX`).
const MAX_LINKS: usize = 64;

/// A tree as one manager sees it.
pub(super) struct Lookup<'a> {
    pub tree: &'a FileTree,
    pub reader: &'a dyn ContentReader,
    pub scope: Scope,
}

impl Lookup<'_> {
    /// Finds unit `name` (`install_info_traverse`).
    pub(super) fn find(&self, name: &str) -> Found {
        let mut name = name.to_owned();
        let Some(mut path) = self.search(&name) else { return Found::Missing };
        for _ in 0..MAX_LINKS {
            let target = match self.tree.get(&path).map(|entry| &entry.kind) {
                Some(Kind::Symlink(target)) => target,
                Some(Kind::File { content, .. }) if content.size == 0 => return Found::Masked { path },
                Some(Kind::File { .. }) => return Found::Unit { name, path },
                _ => return Found::Missing,
            };
            let target = chase_parent(self.tree, &join(&path, target));
            if self.is_null(&target) {
                return Found::Masked { path };
            }
            let target_name = base(&target);
            if !self.in_search_path(&target) || target_name == name {
                path = target;
                continue;
            }
            let is = |name: &str, form| name::form(name) == Some(form);
            let real_name = if is(&name, Form::Instance) && is(target_name, Form::Template) {
                name::with_instance(target_name, name::instance(&name).unwrap_or_default())
            } else {
                target_name.to_owned()
            };
            if real_name == name {
                path = target;
                continue;
            }
            match self.search(&real_name) {
                Some(found) => (name, path) = (real_name, found),
                None => return Found::Missing,
            }
        }
        Found::Missing
    }

    /// Returns the first path in the search path that has `name`, else its template.
    fn search(&self, name: &str) -> Option<String> {
        let template = name::template(name).filter(|_| name::form(name) == Some(Form::Instance));
        [Some(name.to_owned()), template].into_iter().flatten().find_map(|name| {
            let mut paths = self.scope.dirs().iter().map(|dir| format!("{dir}/{name}"));
            paths.find(|path| self.tree.contains(path))
        })
    }

    fn is_null(&self, path: &str) -> bool {
        path == "dev/null"
            || self.tree.resolve(path).and_then(|(_, entry)| entry.content()).is_some_and(|content| content.size == 0)
    }

    /// Whether `path` is directly in a directory of the search path.
    pub(super) fn in_search_path(&self, path: &str) -> bool {
        path.rsplit_once('/').is_some_and(|(dir, _)| self.scope.dirs().contains(&dir))
    }

    /// Reads `[Install]` of the unit at `path` and of its drop-ins.
    pub(super) fn load(&self, name: &str, path: &str) -> Result<Install, InputError> {
        let mut install = Install::default();
        install.read(name, &input::text(self.tree, self.reader, path)?);
        let template = name::template(name).filter(|_| name::form(name) == Some(Form::Instance));
        let dirs: Vec<String> = [Some(name.to_owned()), template]
            .into_iter()
            .flatten()
            .flat_map(|name| self.scope.dirs().iter().map(move |dir| format!("{dir}/{name}.d")))
            .collect();
        for drop_in in input::drop_ins(self.tree, &dirs, ".conf") {
            install.read(name, &input::text(self.tree, self.reader, &drop_in)?);
        }
        Ok(install)
    }

    /// Returns all names of unit files and links, in the order of the search path, then by name.
    pub(super) fn all(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for dir in self.scope.dirs() {
            for (path, entry) in self.tree.children(dir) {
                let is_unit =
                    name::form(path.name()).is_some() && matches!(entry.kind, Kind::File { .. } | Kind::Symlink(_));
                if is_unit && seen.insert(path.name()) {
                    names.push(path.name().to_owned());
                }
            }
        }
        names
    }
}

/// Returns the last component.
pub(super) fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Returns the target `target` of the link at `link`, relative to the root.
pub(super) fn join(link: &str, target: &str) -> String {
    if target.starts_with('/') {
        return target.to_owned();
    }
    format!("{}/{target}", link.rsplit_once('/').map_or("", |(dir, _)| dir))
}

/// Follows the symlinks of `path`'s directories but not its last component (`CHASE_NOFOLLOW`).
pub(super) fn chase_parent(tree: &FileTree, path: &str) -> String {
    let path = path.trim_matches('/');
    match path.rsplit_once('/') {
        Some((dir, name)) => match tree.resolve(dir) {
            Some((dir, _)) => format!("{dir}/{name}"),
            None => lexical(path),
        },
        None => path.to_owned(),
    }
}

/// Follows all symlinks of `path`; its end need not exist (`CHASE_NONEXISTENT`).
pub(super) fn chase(tree: &FileTree, path: &str) -> String {
    let mut at = chase_parent(tree, path);
    for _ in 0..MAX_LINKS {
        match tree.get(&at).and_then(|entry| entry.link_target()) {
            Some(target) => at = chase_parent(tree, &join(&at, target)),
            None => break,
        }
    }
    at
}

/// Returns `path` without `.`, `..` and empty components.
fn lexical(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}
