//! Makes and removes the symlinks that enable units (`install.c` of systemd).

use super::UnitsError;
use super::install::{self, Install};
use super::lookup::{Found, Lookup, Scope, base, chase, chase_parent, join};
use super::name::{self, Form};
use crate::input;
use kiln_tree::{ContentReader, Entry, FileTree, Kind};
use std::collections::{BTreeSet, VecDeque};

/// How failures of single links are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Presets: links that cannot be made are skipped.
    Preset,
    /// The profile names the unit: every failure is an error.
    Explicit,
}

/// A manager's units, which can be enabled and disabled.
pub(super) struct Links<'a> {
    pub tree: &'a mut FileTree,
    pub reader: &'a dyn ContentReader,
    pub scope: Scope,
}

impl Links<'_> {
    pub(super) fn lookup(&self) -> Lookup<'_> {
        Lookup { tree: self.tree, reader: self.reader, scope: self.scope }
    }

    /// Enables `units` and the units in their `Also=` (`install_context_apply`).
    pub(super) fn enable(&mut self, units: &[String], mode: Mode) -> Result<(), UnitsError> {
        let mut queue: VecDeque<String> = units.iter().cloned().collect();
        let mut done = BTreeSet::new();
        while let Some(unit) = queue.pop_front() {
            if !done.insert(unit.clone()) {
                continue;
            }
            let (name, path) = match self.lookup().find(&unit) {
                Found::Unit { name, path } => (name, path),
                Found::Masked { path } if mode == Mode::Explicit && units.contains(&unit) => {
                    return Err(UnitsError::Masked { unit, path });
                }
                // Units that are only in Also= may be missing.
                Found::Masked { .. } | Found::Missing => continue,
            };
            if name != unit {
                queue.push_back(name);
                continue;
            }
            let install = self.lookup().load(&name, &path)?;
            if mode == Mode::Explicit && units.contains(&unit) && install.is_empty() {
                return Err(UnitsError::Static { unit, path });
            }
            for also in &install.also {
                queue.extend(install::expand(also, &name, install.default_instance.as_deref()));
            }
            self.apply(&name, &path, &install, mode)?;
        }
        Ok(())
    }

    /// `install_info_apply`.
    fn apply(&mut self, name: &str, path: &str, install: &Install, mode: Mode) -> Result<(), UnitsError> {
        let config = self.scope.config();
        let target = format!("/{path}");
        let linked = !self.lookup().in_search_path(path);
        if linked {
            self.link(&format!("{config}/{name}"), &target, false)?;
        }
        let alias_target = if linked { format!("/{config}/{name}") } else { target.clone() };
        for alias in &install.aliases {
            let alias = self.specifiers(alias, name, install)?;
            let Some(alias) = checked_alias(&alias, name) else { continue };
            let at = format!("{config}/{alias}");
            let broken = self.tree.contains(&at) && self.tree.resolve(&at).is_none();
            match self.link(&at, &alias_target, broken) {
                Err(UnitsError::LinkExists { .. }) if mode == Mode::Preset => {}
                result => result?,
            }
        }
        for (list, suffix) in
            [(&install.wanted_by, "wants"), (&install.required_by, "requires"), (&install.upheld_by, "upholds")]
        {
            self.pull_in(name, &target, install, list, suffix, mode)?;
        }
        Ok(())
    }

    /// `install_info_symlink_wants`.
    fn pull_in(
        &mut self,
        name: &str,
        target: &str,
        install: &Install,
        list: &[String],
        suffix: &str,
        mode: Mode,
    ) -> Result<(), UnitsError> {
        let is_template = name::form(name) == Some(Form::Template);
        let link_name = match &install.default_instance {
            Some(instance) if is_template => name::with_instance(name, instance),
            _ => name.to_owned(),
        };
        let uninstantiated = name::form(&link_name) == Some(Form::Template);
        if let (true, Found::Masked { path }) = (link_name != name && !list.is_empty(), self.lookup().find(&link_name))
        {
            return if mode == Mode::Preset { Ok(()) } else { Err(UnitsError::Masked { unit: link_name, path }) };
        }
        for puller in list {
            let puller = self.specifiers(puller, name, install)?;
            let allowed = match name::form(&puller) {
                None => false,
                Some(Form::Plain) => !uninstantiated,
                Some(_) => true,
            };
            if allowed {
                self.link(&format!("{}/{puller}.{suffix}/{link_name}", self.scope.config()), target, true)?;
            } else if mode == Mode::Explicit {
                return Err(UnitsError::BadReference { unit: name.to_owned(), reference: puller });
            }
        }
        Ok(())
    }

    fn specifiers(&self, text: &str, name: &str, install: &Install) -> Result<String, UnitsError> {
        install::expand(text, name, install.default_instance.as_deref())
            .ok_or_else(|| UnitsError::Specifier { unit: name.to_owned(), text: text.to_owned() })
    }

    /// Links `at` to `target` (`create_symlink`); keeps an existing link with the same meaning.
    pub(super) fn link(&mut self, at: &str, target: &str, force: bool) -> Result<(), UnitsError> {
        match self.tree.get(at).map(|entry| &entry.kind) {
            None => {}
            Some(Kind::Symlink(existing)) if self.same_unit(at, existing, target) => return Ok(()),
            Some(Kind::Symlink(_)) if force => {}
            Some(kind) => {
                let found = match kind {
                    Kind::Symlink(existing) => format!("a symlink to {existing}"),
                    other => format!("a {}", other.name()),
                };
                return Err(UnitsError::LinkExists { path: at.to_owned(), found, target: target.to_owned() });
            }
        }
        input::put(self.tree, at, Entry::symlink(target, super::FINALIZER.origin()))?;
        Ok(())
    }

    /// `chroot_unit_symlinks_equivalent`.
    fn same_unit(&self, at: &str, a: &str, b: &str) -> bool {
        let (a, b) = (chase_parent(self.tree, &join(at, a)), chase_parent(self.tree, &join(at, b)));
        let inode = |path: &str| self.tree.resolve(path).map(|(path, _)| path);
        let lookup = self.lookup();
        a == b
            || (inode(&a).is_some() && inode(&a) == inode(&b))
            || (base(&a) == base(&b) && lookup.in_search_path(&a) && lookup.in_search_path(&b))
    }

    /// Removes every link that enables `units` or the units in their `Also=`
    /// (`remove_marked_symlinks`).
    pub(super) fn disable(&mut self, units: &[String]) -> Result<(), UnitsError> {
        let mut queue: VecDeque<String> = units.iter().cloned().collect();
        let mut seen = BTreeSet::new();
        let mut marked = BTreeSet::new();
        while let Some(unit) = queue.pop_front() {
            if !seen.insert(unit.clone()) {
                continue;
            }
            match self.lookup().find(&unit) {
                Found::Masked { .. } => continue,
                Found::Missing => _ = marked.insert(unit),
                Found::Unit { name, .. } if name != unit => queue.push_back(name),
                Found::Unit { name, path } => {
                    let install = self.lookup().load(&name, &path)?;
                    for also in &install.also {
                        queue.extend(install::expand(also, &name, install.default_instance.as_deref()));
                    }
                    marked.insert(name);
                }
            }
        }
        if !marked.is_empty() {
            self.remove_links_to(marked);
        }
        Ok(())
    }

    fn remove_links_to(&mut self, mut marked: BTreeSet<String>) {
        let config = self.scope.config();
        loop {
            let is_marked = |path: &str| {
                let name = base(path);
                let target = chase(self.tree, path);
                marked.contains(name)
                    || name::template(name).is_some_and(|template| marked.contains(&template))
                    || marked.contains(&target)
                    || marked.contains(base(&target))
            };
            let doomed: Vec<String> = self
                .tree
                .below(config)
                .filter(|(path, entry)| entry.link_target().is_some() && name::form(path.name()).is_some())
                .map(|(path, _)| path.to_string())
                .filter(|path| is_marked(path))
                .collect();
            if doomed.is_empty() {
                return;
            }
            for path in doomed {
                self.tree.remove(&path);
                self.remove_empty_parents(&path);
                marked.insert(path);
            }
        }
    }

    fn remove_empty_parents(&mut self, path: &str) {
        let mut path = path;
        while let Some((dir, _)) = path.rsplit_once('/') {
            if dir == self.scope.config() || self.tree.below(dir).next().is_some() {
                return;
            }
            self.tree.remove(dir);
            path = dir;
        }
    }
}

/// Returns the name under which an alias is linked, or `None` if it is not valid for unit `name`
/// (`unit_file_verify_alias`).
fn checked_alias(alias: &str, name: &str) -> Option<String> {
    if let Some((dir, link)) = alias.rsplit_once('/') {
        // The old way to write WantedBy= and RequiredBy=.
        let puller = dir.strip_suffix(".wants").or_else(|| dir.strip_suffix(".requires"))?;
        let same =
            link == name || (name::form(puller)? == Form::Template && name::template(link)? == name::template(name)?);
        return (same && name::form(puller).is_some()).then(|| alias.to_owned());
    }
    let instance = name::instance(name).filter(|instance| !instance.is_empty());
    let alias = match (name::form(alias)?, instance) {
        (Form::Template, Some(instance)) => name::with_instance(alias, instance),
        _ => alias.to_owned(),
    };
    let (alias_form, name_form) = (name::form(&alias)?, name::form(name)?);
    let forms_fit = alias_form == name_form || (alias_form == Form::Instance && name_form == Form::Template);
    let instances_fit = name_form != Form::Instance || name::instance(&alias) == name::instance(name);
    let types_fit = name::may_alias(&alias) && name::unit_type(&alias) == name::unit_type(name);
    (alias != name && forms_fit && instances_fit && types_fit).then_some(alias)
}

#[cfg(test)]
mod tests {
    use super::checked_alias;

    #[test]
    fn aliases_must_fit_their_unit() {
        for (alias, unit, expected) in [
            ("b.service", "a.service", Some("b.service")),
            ("a.service", "a.service", None),
            ("b.socket", "a.service", None),
            ("b@.service", "a@.service", Some("b@.service")),
            ("b@.service", "a@x.service", Some("b@x.service")),
            ("b@y.service", "a@x.service", None),
            ("b@y.service", "a@.service", Some("b@y.service")),
            ("b@.service", "a.service", None),
            ("x.target.wants/a.service", "a.service", Some("x.target.wants/a.service")),
            ("x.target.wants/b.service", "a.service", None),
            ("x.d/a.service", "a.service", None),
        ] {
            assert_eq!(checked_alias(alias, unit).as_deref(), expected, "{alias} for {unit}");
        }
    }
}
