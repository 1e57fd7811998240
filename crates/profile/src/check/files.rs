//! Files added to the tree besides packages, and files of packages that are left out.

use super::super::authority;
use super::super::key::{Key, fields};
use super::super::model::{Accounts, Alternative, Diversion, InlineFile, PruneRule, User};
use super::super::place::{At, Fault};
use super::super::raw::{Map, RawDiversion, RawFile, RawPrune, RawUser};
use super::{Context, absolute, glob, host_path, missing, names, required, text, texts, unit_text};
use kiln_tree::TreePath;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// (uid_t)-1 and (gid_t)-1 mean "unchanged" in chown(2).
const NO_ID: u32 = u32::MAX;

pub(super) fn accounts(users: &Map<At<RawUser>>, groups: &Map<At<u32>>) -> Result<Accounts, Fault> {
    let mut accounts = Accounts::default();
    for (name, gid) in groups {
        let group = text(name, fields::GROUPS, names::account)?;
        accounts.groups.insert(group, id(gid, fields::GROUPS)?);
    }
    for (name, raw) in users {
        let name = text(name, fields::USERS, names::account)?;
        let user = user(&name, raw)?;
        accounts.users.insert(name, user);
    }
    Ok(accounts)
}

fn id(id: &At<u32>, key: impl Into<Key>) -> Result<u32, Fault> {
    id.check(key, |id| match *id {
        NO_ID => Err(format!("{id} is not a valid id; the largest is {}", NO_ID - 1)),
        id => Ok(id),
    })
}

fn user(name: &str, raw: &At<RawUser>) -> Result<User, Fault> {
    let RawUser { uid, group, home, shell, groups, comment } = &raw.value;
    let key = &fields::USER.of(name);
    let path = |value: &Option<At<String>>, default: &str| match value {
        Some(value) => {
            let path = absolute(value, key)?;
            text(value, key, field)?;
            Ok(format!("/{path}"))
        }
        None => Ok(default.to_owned()),
    };
    Ok(User {
        uid: id(required(uid, raw.pos, key, "uid")?, key)?,
        group: group.as_ref().map(|group| text(group, key, group_or_number)).transpose()?,
        home: path(home, "/nonexistent")?,
        shell: path(shell, "/usr/sbin/nologin")?,
        groups: texts(groups, key, names::account)?,
        comment: comment.as_ref().map(|comment| text(comment, key, field)).transpose()?.unwrap_or_default(),
    })
}

fn group_or_number(text: &str) -> Result<(), String> {
    match text.parse::<u32>() {
        Ok(number) if number != NO_ID && text.bytes().all(|b| b.is_ascii_digit()) => Ok(()),
        _ => names::account(text),
    }
}

/// A field of passwd(5).
fn field(text: &str) -> Result<(), String> {
    match text.chars().any(|c| c == ':' || c.is_control()) {
        true => Err(format!("{:?} contains a colon or a control character", names::short(text))),
        false => Ok(()),
    }
}

pub(super) fn inline(files: Map<At<RawFile>>) -> Result<BTreeMap<TreePath, InlineFile>, Fault> {
    let mut inline = BTreeMap::new();
    for (name, raw) in files {
        let path = absolute(&name, fields::FILES)?;
        let RawFile { content, mode, uid, gid, replace } = raw.value;
        let key = &fields::FILE.of(format_args!("/{path}"));
        let owner = |owner: Option<At<u32>>| owner.map_or(Ok(0), |owner| id(&owner, key));
        let content = required(&content, raw.pos, key, "content")?;
        if let Some(unit) = unit_name(path.as_str()) {
            // A drop-in beside the unit may add what it lacks, and an empty unit is masked.
            let checked = content.check(key, |text| match text.trim().is_empty() {
                true => Ok(()),
                false => unit_text::check(unit, text, false),
            });
            checked.map_err(|fault| fault.by(authority::UNIT_TEXT))?;
        }
        let file = InlineFile {
            content: content.value.clone(),
            mode: self::mode(mode.as_ref(), key, 0o644)?,
            uid: owner(uid)?,
            gid: owner(gid)?,
            replace: replace.is_some_and(|replace| replace.value),
        };
        if inline.insert(path, file).is_some() {
            return Err(name.fault_of(key, "is a duplicate, spelled differently"));
        }
    }
    Ok(inline)
}

/// The name of the unit or drop-in at `path`, if it is one.
fn unit_name(path: &str) -> Option<&str> {
    const DIRECTORIES: [&str; 3] = ["etc/systemd/system/", "usr/lib/systemd/system/", "usr/local/lib/systemd/system/"];
    let name = DIRECTORIES.iter().find_map(|directory| path.strip_prefix(directory))?;
    names::unit_or_drop_in(name).is_ok().then_some(name)
}

/// Permission bits, or `default`.
pub(super) fn mode(mode: Option<&At<String>>, key: &Key, default: u16) -> Result<u16, Fault> {
    mode.map_or(Ok(default), |mode| mode.check(key.below("mode"), |mode| names::mode(mode)))
}

pub(super) fn overlay(value: &At<String>, context: &Context<'_>) -> Result<PathBuf, Fault> {
    let mut reach = context.reach.clone();
    let path = match value.value.contains('/') {
        true => host_path(value, fields::OVERLAYS, context)?,
        false => {
            text(value, fields::OVERLAYS, names::file_stem)?;
            context.overlays_dir.join(&value.value)
        }
    };
    // The user chose the directory of a path, but not where links in it lead.
    if value.pos.is_option() && value.value.contains('/') {
        reach.add(&path);
    }
    // Links below rootfs are copied as links, not followed.
    for read in [path.clone(), path.join("rootfs"), path.join("overlay.yaml")] {
        reach.check(&read).map_err(|why| value.fault_of(fields::OVERLAYS, why).by_kiln())?;
    }
    if path.is_dir() {
        return Ok(path);
    }
    // A directory relative to this file must be written as a path.
    let here = context.sources.dir(value.pos).join(&value.value);
    let hint = match here.is_dir() && !value.value.contains('/') {
        true => format!("; write \"./{}\" for {}", value.value, here.display()),
        false => String::new(),
    };
    Err(value.fault(format!("there is no directory {}{hint}", path.display())))
}

pub(super) fn alternatives(raw: &Map<At<String>>) -> Result<BTreeMap<TreePath, Alternative>, Fault> {
    let mut alternatives = BTreeMap::new();
    let mut names: BTreeMap<String, TreePath> = BTreeMap::new();
    for (link, target) in raw {
        let path = absolute(link, fields::ALTERNATIVES)?;
        let target = format!("/{}", absolute(target, fields::ALTERNATIVE.of(format_args!("/{path}")))?);
        let name = path.name().to_owned();
        if let Some(other) = names.insert(name.clone(), path.clone()) {
            return Err(
                link.fault_of(fields::ALTERNATIVES, format!("/{other} and {} share the name {name}", link.value))
            );
        }
        alternatives.insert(path, Alternative { name, target });
    }
    Ok(alternatives)
}

pub(super) fn diversions(raw: &Map<At<RawDiversion>>) -> Result<Vec<Diversion>, Fault> {
    let diversion = |(from, raw): (&At<String>, &At<RawDiversion>)| {
        let RawDiversion { to, by } = &raw.value;
        let path = absolute(from, fields::DIVERSIONS)?;
        let key = &fields::DIVERSION.of(format_args!("/{path}"));
        Ok(Diversion {
            to: absolute(required(to, raw.pos, key, "to")?, key)?,
            by: by.as_ref().map(|by| text(by, key, names::package)).transpose()?,
            from: path,
        })
    };
    raw.iter().map(diversion).collect()
}

pub(super) fn prune(raw: &Map<At<RawPrune>>) -> Result<BTreeMap<String, PruneRule>, Fault> {
    let mut rules = BTreeMap::new();
    for (name, rule) in raw {
        let name = text(name, fields::PRUNE, names::label)?;
        let key = &fields::PRUNE_RULE.of(&name);
        let RawPrune { reason, paths, keep } = &rule.value;
        if paths.is_empty() {
            return Err(missing(rule.pos, key, "paths"));
        }
        let reason = text(required(reason, rule.pos, key, "reason")?, key, reason_text)?;
        let rule = PruneRule { reason, paths: texts(paths, key, glob)?, keep: texts(keep, key, glob)? };
        rules.insert(name, rule);
    }
    Ok(rules)
}

pub(super) fn privileged(raw: &Map<At<String>>) -> Result<BTreeMap<TreePath, String>, Fault> {
    let privileged = |(path, reason): (&At<String>, &At<String>)| {
        let path = absolute(path, fields::PRIVILEGED)?;
        let reason = text(reason, fields::PRIVILEGED_PROGRAM.of(format_args!("/{path}")), reason_text)?;
        Ok((path, reason))
    };
    raw.iter().map(privileged).collect()
}

fn reason_text(text: &str) -> Result<(), String> {
    if text.trim().is_empty() { Err("the reason is empty".to_owned()) } else { Ok(()) }
}
