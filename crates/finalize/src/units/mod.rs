//! The systemd units that an image starts: presets, enablement, masks and the default target, as
//! symlinks below `/etc/systemd`.
//!
//! Follows `systemctl --root=DIR preset-all`, then `enable`, `disable`, `mask` and `set-default`
//! for what the profile names. Links point to `/usr/lib/systemd/…`, where an image has its units;
//! systemd 252 of Debian 12 writes `/lib/systemd/…` for the same file. Where two enabled units
//! claim one alias, the result of `preset-all` depends on the order of a directory; here it depends
//! on the order of names.

mod install;
mod links;
mod lookup;
mod name;
mod preset;

pub use lookup::Scope;
pub use preset::PresetError;

use super::Finalizer;
use super::input::{self, InputError, OutputError};
use kiln_profile::{AboutProfile, Key, Units, fields};
use kiln_tree::{ContentReader, FileTree};
use links::{Links, Mode};
use lookup::Found;
use preset::{Presets, Verdict};
use std::collections::BTreeSet;

pub(crate) const FINALIZER: Finalizer = Finalizer {
    name: "units",
    reads: &[Scope::System.dirs(), Scope::System.preset_dirs(), Scope::User.dirs(), Scope::User.preset_dirs()],
};

/// Why units cannot be enabled, disabled or masked.
#[derive(Debug, thiserror::Error)]
pub enum UnitsError {
    /// A file cannot be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A link cannot be put into the tree.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A preset file is malformed.
    #[error(transparent)]
    Preset(#[from] PresetError),
    /// The profile names a unit that does not exist.
    #[error("{key}: no unit is called {unit:?}{}", hint(nearest.as_deref()))]
    NoSuchUnit {
        /// The key that names it.
        key: Key,
        /// The name.
        unit: String,
        /// The most similar name of a unit.
        nearest: Option<String>,
    },
    /// The profile enables a unit that has no `[Install]`.
    #[error(
        "{}: it is static: /{path} has no [Install] section, other units start it; leave it out or add a drop-in {unit}.d/10-install.conf with [Install] WantedBy=",
        fields::UNIT_STATE.of(unit)
    )]
    Static {
        /// The unit.
        unit: String,
        /// Its file.
        path: String,
    },
    /// The profile enables a unit that is masked.
    #[error("{}: it is masked by /{path}: remove the mask or the enablement", fields::UNIT_STATE.of(unit))]
    Masked {
        /// The unit.
        unit: String,
        /// The link to `/dev/null` or the empty file.
        path: String,
    },
    /// `[Install]` of an enabled unit refers to something that is not a unit, or an instance is
    /// missing.
    #[error(
        "{unit}: [Install] refers to {reference:?}, which cannot start it: it is not a unit name, or {unit} is a template and needs an instance"
    )]
    BadReference {
        /// The unit.
        unit: String,
        /// The reference.
        reference: String,
    },
    /// `[Install]` has a specifier that is only known on a running machine.
    #[error("{unit}: [Install] has {text:?} with a specifier that is only known on a running machine")]
    Specifier {
        /// The unit.
        unit: String,
        /// The word of the setting.
        text: String,
    },
    /// A link cannot be made because something else exists at its path.
    #[error("/{path} is {found} and cannot become a symlink to {target}: remove one of the two")]
    LinkExists {
        /// The path.
        path: String,
        /// The existing entry.
        found: String,
        /// The target of the link.
        target: String,
    },
}

impl AboutProfile for UnitsError {
    fn key(&self) -> Option<Key> {
        match self {
            Self::NoSuchUnit { key, .. } => Some(key.clone()),
            // Units that presets enable never fail for these reasons.
            Self::Static { unit, .. } | Self::Masked { unit, .. } | Self::BadReference { unit, .. } => {
                Some(fields::UNIT_STATE.of(unit).at_name())
            }
            Self::Input(_) | Self::Output(_) | Self::Preset(_) | Self::Specifier { .. } | Self::LinkExists { .. } => {
                None
            }
        }
    }
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!(" (did you mean {name:?}?)"))
}

/// Applies the presets of both managers, then the profile's lists and default target.
///
/// # Errors
/// [`UnitsError`].
pub fn finalize(tree: &mut FileTree, reader: &dyn ContentReader, units: &Units) -> Result<(), UnitsError> {
    preset_all(tree, reader, Scope::System)?;
    preset_all(tree, reader, Scope::User)?;
    let mut links = Links { tree, reader, scope: Scope::System };
    let enable = named(&links, false, &units.enable, &units.optional)?;
    let disable = named(&links, false, &units.disable, &units.optional)?;
    let mask = named(&links, true, &units.mask, &units.optional)?;
    links.enable(&enable, Mode::Explicit)?;
    links.disable(&disable)?;
    for unit in &mask {
        links.link(&format!("{}/{unit}", Scope::System.config()), "/dev/null", false)?;
    }
    set_default(&mut links, &units.default_target)
}

/// Enables and disables every unit of `scope` as its presets say (`systemctl preset-all`, for
/// [`Scope::User`] with `--global`).
///
/// # Errors
/// [`UnitsError`] for a malformed preset file or an unreadable unit.
pub fn preset_all(tree: &mut FileTree, reader: &dyn ContentReader, scope: Scope) -> Result<(), UnitsError> {
    let mut presets = Presets::default();
    for path in input::drop_ins(tree, scope.preset_dirs(), ".preset") {
        presets.read(&path, &input::text(tree, reader, &path)?)?;
    }
    let mut links = Links { tree, reader, scope };
    let (mut plus, mut minus) = (Vec::new(), Vec::new());
    for unit in links.lookup().all() {
        let is_own_name = matches!(links.lookup().find(&unit), Found::Unit { name, .. } if name == unit);
        if !is_own_name {
            continue;
        }
        match presets.query(&unit) {
            Verdict::Enable => plus.push(unit),
            Verdict::EnableInstances(instances) => plus.extend(instances),
            Verdict::Disable => minus.push(unit),
            Verdict::Ignore => {}
        }
    }
    links.disable(&minus)?;
    links.enable(&plus, Mode::Preset)
}

/// Returns those of `units` that exist; a missing one must be `optional`.
fn named(
    links: &Links<'_>,
    to_mask: bool,
    units: &BTreeSet<String>,
    optional: &BTreeSet<String>,
) -> Result<Vec<String>, UnitsError> {
    let mut there = Vec::new();
    for unit in units {
        // Generators make these at boot; masking does not need the file.
        let generated = to_mask && matches!(name::unit_type(unit), "mount" | "automount" | "swap" | "device");
        let missing = !generated && links.lookup().find(unit) == Found::Missing;
        match name::form(unit).is_some() && !missing {
            true => there.push(unit.clone()),
            false if optional.contains(unit) => {}
            false => return Err(no_such_unit(links, fields::UNIT_STATE.of(unit).at_name(), unit)),
        }
    }
    Ok(there)
}

fn no_such_unit(links: &Links<'_>, key: Key, unit: &str) -> UnitsError {
    let names = links.lookup().all();
    let nearest = kiln_suggest::nearest(unit, names.iter().map(String::as_str)).map(str::to_owned);
    UnitsError::NoSuchUnit { key, unit: unit.to_owned(), nearest }
}

/// `systemctl set-default`.
fn set_default(links: &mut Links<'_>, target: &str) -> Result<(), UnitsError> {
    if target.is_empty() {
        return Ok(());
    }
    match links.lookup().find(target) {
        Found::Unit { path, .. } if name::unit_type(target) == "target" => {
            links.link(&format!("{}/default.target", links.scope.config()), &format!("/{path}"), true)
        }
        _ => Err(no_such_unit(links, fields::UNITS_DEFAULT_TARGET.into(), target)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_tree::{Entry, LocalReader, Origin};

    fn tree(files: &[(&str, &str)]) -> FileTree {
        let mut tree = FileTree::new();
        for (path, text) in files {
            let origin = Origin::Generated("test".into());
            let entry = match text.strip_prefix("-> ") {
                Some(target) => Entry::symlink(target, origin),
                None => Entry::file(text.as_bytes().to_vec(), 0o644, origin),
            };
            input::put(&mut tree, path, entry).expect("a free path");
        }
        tree
    }

    fn sample() -> FileTree {
        tree(&[
            ("usr/lib/systemd/system/a.service", "[Install]\nWantedBy=multi-user.target\n"),
            ("usr/lib/systemd/system/static.service", "[Service]\n"),
            ("usr/lib/systemd/system/multi-user.target", "[Unit]\n"),
            ("usr/lib/systemd/system-preset/90.preset", "disable *\n"),
        ])
    }

    fn units(change: impl FnOnce(&mut Units)) -> Units {
        let mut units = Units { default_target: "multi-user.target".into(), ..Units::default() };
        change(&mut units);
        units
    }

    #[test]
    fn the_profile_overrides_presets() {
        let mut tree = sample();
        let lists = units(|units| {
            units.enable.insert("a.service".into());
            units.mask.insert("static.service".into());
            units.mask.insert("tmp.mount".into());
        });
        finalize(&mut tree, &LocalReader, &lists).expect("set up");
        let link = |path| tree.get(path).and_then(Entry::link_target);
        assert_eq!(
            link("etc/systemd/system/multi-user.target.wants/a.service"),
            Some("/usr/lib/systemd/system/a.service")
        );
        assert_eq!(link("etc/systemd/system/static.service"), Some("/dev/null"));
        assert_eq!(link("etc/systemd/system/tmp.mount"), Some("/dev/null"));
        assert_eq!(link("etc/systemd/system/default.target"), Some("/usr/lib/systemd/system/multi-user.target"));
    }

    #[test]
    fn errors_say_what_to_do() {
        let message = |change: fn(&mut Units)| {
            finalize(&mut sample(), &LocalReader, &units(change)).expect_err("a mistake").to_string()
        };
        assert_eq!(
            message(|units| _ = units.enable.insert("a.servce".into())),
            "units.states.a.servce: no unit is called \"a.servce\" (did you mean \"a.service\"?)"
        );
        assert_eq!(
            message(|units| _ = units.mask.insert("zzz.service".into())),
            "units.states.zzz.service: no unit is called \"zzz.service\""
        );
        assert!(
            message(|units| _ = units.enable.insert("static.service".into()))
                .contains("units.states.static.service: it is static")
        );
        assert_eq!(
            message(|units| units.default_target = "multi-usr.target".into()),
            "units.defaultTarget: no unit is called \"multi-usr.target\" (did you mean \"multi-user.target\"?)"
        );
        let mut tree = tree(&[("etc/systemd/system/a.service", "-> /dev/null")]);
        let lists = Units { enable: ["a.service".to_owned()].into(), ..Units::default() };
        let error = finalize(&mut tree, &LocalReader, &lists).expect_err("masked");
        assert_eq!(
            error.to_string(),
            "units.states.a.service: it is masked by /etc/systemd/system/a.service: remove the mask or the enablement"
        );
    }
}
