//! What is put into the tree besides packages, and what is left out of them.

use super::super::model::{Accounts, Alternative, Diversion, InlineFile, PruneRule, User};
use super::super::place::{At, Fault};
use super::super::raw::{Map, RawDiversion, RawFile, RawPrune, RawUser};
use super::{Context, absolute, glob, host_path, names, required, text, texts, unit_text};
use kiln_tree::TreePath;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// (uid_t)-1 and (gid_t)-1 mean "unchanged" to chown(2).
const NO_ID: u32 = u32::MAX;

pub(super) fn accounts(users: &Map<At<RawUser>>, groups: &Map<At<u32>>) -> Result<Accounts, Fault> {
    let mut accounts = Accounts::default();
    for (name, gid) in groups {
        let group = text(name, "groups", names::account)?;
        accounts.groups.insert(group, id(gid, "groups")?);
    }
    for (name, raw) in users {
        let name = text(name, "users", names::account)?;
        let user = user(&name, raw)?;
        accounts.users.insert(name, user);
    }
    Ok(accounts)
}

fn id(id: &At<u32>, key: &str) -> Result<u32, Fault> {
    id.check(|id| match *id {
        NO_ID => Err(format!("{key}: {id} is not an id, the largest is {}", NO_ID - 1)),
        id => Ok(id),
    })
}

fn user(name: &str, raw: &At<RawUser>) -> Result<User, Fault> {
    let RawUser { uid, group, home, shell, groups, comment } = &raw.value;
    let what = format!("users.{name}");
    let path = |value: &Option<At<String>>, default: &str| match value {
        Some(value) => {
            let path = absolute(value, &what)?;
            text(value, &what, field)?;
            Ok(format!("/{path}"))
        }
        None => Ok(default.to_owned()),
    };
    Ok(User {
        uid: id(required(uid, raw.pos, &what, "uid")?, &what)?,
        group: group.as_ref().map(|group| text(group, &what, group_or_number)).transpose()?,
        home: path(home, "/nonexistent")?,
        shell: path(shell, "/usr/sbin/nologin")?,
        groups: texts(groups, &what, names::account)?,
        comment: comment.as_ref().map(|comment| text(comment, &what, field)).transpose()?.unwrap_or_default(),
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
        true => Err(format!("{:?} has a colon or a control character", names::short(text))),
        false => Ok(()),
    }
}

pub(super) fn inline(files: Map<At<RawFile>>) -> Result<BTreeMap<TreePath, InlineFile>, Fault> {
    let mut inline = BTreeMap::new();
    for (name, raw) in files {
        let path = absolute(&name, "files")?;
        let RawFile { content, mode, uid, gid, replace } = raw.value;
        let what = format!("files./{path}");
        let owner = |owner: Option<At<u32>>| owner.map_or(Ok(0), |owner| id(&owner, &what));
        let content = required(&content, raw.pos, &what, "content")?;
        if let Some(unit) = unit_name(path.as_str()) {
            // A drop-in beside it may bring what it lacks, and an empty unit masks.
            content.check(|text| match text.trim().is_empty() {
                true => Ok(()),
                false => unit_text::check(unit, text, false).map_err(|why| format!("{what}: {why}")),
            })?;
        }
        let file = InlineFile {
            content: content.value.clone(),
            mode: self::mode(mode.as_ref(), &what, 0o644)?,
            uid: owner(uid)?,
            gid: owner(gid)?,
            replace: replace.is_some_and(|replace| replace.value),
        };
        if inline.insert(path, file).is_some() {
            return Err(name.fault(format!("{what}: is there twice, spelt differently")));
        }
    }
    Ok(inline)
}

/// The unit or drop-in that the file at `path` is, if it is one.
fn unit_name(path: &str) -> Option<&str> {
    const DIRECTORIES: [&str; 3] = ["etc/systemd/system/", "usr/lib/systemd/system/", "usr/local/lib/systemd/system/"];
    let name = DIRECTORIES.iter().find_map(|directory| path.strip_prefix(directory))?;
    names::unit_or_drop_in(name).is_ok().then_some(name)
}

/// Permission bits, or `default`.
pub(super) fn mode(mode: Option<&At<String>>, what: &str, default: u16) -> Result<u16, Fault> {
    mode.map_or(Ok(default), |mode| mode.check(|mode| names::mode(mode).map_err(|why| format!("{what}.mode: {why}"))))
}

pub(super) fn overlay(value: &At<String>, context: &Context<'_>) -> Result<PathBuf, Fault> {
    let path = match value.value.contains('/') {
        true => host_path(value, "overlays", context)?,
        false => {
            text(value, "overlays", names::file_stem)?;
            context.overlays_dir.join(&value.value)
        }
    };
    if path.is_dir() {
        return Ok(path);
    }
    // Whoever means a directory here has to say that it is a path.
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
        let path = absolute(link, "alternatives")?;
        let target = format!("/{}", absolute(target, &format!("alternatives./{path}"))?);
        let name = path.name().to_owned();
        if let Some(other) = names.insert(name.clone(), path.clone()) {
            return Err(link.fault(format!("alternatives: /{other} and {} share the name {name}", link.value)));
        }
        alternatives.insert(path, Alternative { name, target });
    }
    Ok(alternatives)
}

pub(super) fn diversions(raw: &Map<At<RawDiversion>>) -> Result<Vec<Diversion>, Fault> {
    let diversion = |(from, raw): (&At<String>, &At<RawDiversion>)| {
        let RawDiversion { to, by } = &raw.value;
        let path = absolute(from, "diversions")?;
        let what = format!("diversions./{path}");
        Ok(Diversion {
            to: absolute(required(to, raw.pos, &what, "to")?, &what)?,
            by: by.as_ref().map(|by| text(by, &what, names::package)).transpose()?,
            from: path,
        })
    };
    raw.iter().map(diversion).collect()
}

pub(super) fn prune(raw: &Map<At<RawPrune>>) -> Result<BTreeMap<String, PruneRule>, Fault> {
    let mut rules = BTreeMap::new();
    for (name, rule) in raw {
        let name = text(name, "prune", names::label)?;
        let what = format!("prune.{name}");
        let RawPrune { reason, paths, keep } = &rule.value;
        if paths.is_empty() {
            return Err(rule.fault(format!("{what}: \"paths\" is missing")));
        }
        let reason = text(required(reason, rule.pos, &what, "reason")?, &what, reason_text)?;
        let rule = PruneRule { reason, paths: texts(paths, &what, glob)?, keep: texts(keep, &what, glob)? };
        rules.insert(name, rule);
    }
    Ok(rules)
}

pub(super) fn privileged(raw: &Map<At<String>>) -> Result<BTreeMap<TreePath, String>, Fault> {
    let privileged = |(path, reason): (&At<String>, &At<String>)| {
        let path = absolute(path, "privileged")?;
        let reason = text(reason, &format!("privileged./{path}"), reason_text)?;
        Ok((path, reason))
    };
    raw.iter().map(privileged).collect()
}

fn reason_text(text: &str) -> Result<(), String> {
    if text.trim().is_empty() { Err("the reason is empty".to_owned()) } else { Ok(()) }
}
