//! Ids for declared users and groups, chosen as systemd-sysusers chooses them.
//!
//! Existing names keep their ids. Others get, in this order: the requested id if it is free, the
//! owner of a given path, the number of the group (user) of the same name, or the highest free
//! number of the system range, going down. Groups come first, then users, each in the order of
//! declaration.

use super::database::{Database, Group, Gshadow, Passwd, Shadow};
use super::sysusers::{GroupItem, Ids, Items, Place, UserItem};
use kiln_tree::FileTree;
use std::collections::BTreeMap;

/// Why an id cannot be allocated.
#[derive(Debug, thiserror::Error)]
pub enum AllocationError {
    /// `UID:GID` or `UID:GROUP` names a group that does not exist.
    #[error("{place}: user {user:?} needs the group {group:?}, which does not exist: declare it with a g line")]
    NoGroup {
        /// The declaration.
        place: String,
        /// The user.
        user: String,
        /// Name or number of the group.
        group: String,
    },
    /// No id of the range is free.
    #[error("{place}: no id is free for {name:?} in {low}-{high}: widen SYS_UID_MIN..SYS_UID_MAX in /etc/login.defs")]
    Exhausted {
        /// The declaration.
        place: String,
        /// The user or group.
        name: String,
        /// First id of the lowest range.
        low: u32,
        /// Last id of the highest range.
        high: u32,
    },
}

/// What allocation needs besides the database and the items.
pub(super) struct Context<'a> {
    /// Owners of paths.
    pub tree: &'a FileTree,
    /// Inclusive range that is used when no `r` line gives one.
    pub default_range: (u32, u32),
    /// The day for shadow's last-change field, in days since 1970.
    pub epoch_days: u32,
    /// Ids that the profile assigns to users and groups that are added later.
    pub reserved: &'a BTreeMap<u32, String>,
}

struct Allocator<'a> {
    context: &'a Context<'a>,
    ranges: Vec<(u32, u32)>,
    /// The lowest id allocated so far; users and groups share the search.
    search: u32,
    uids: BTreeMap<u32, String>,
    gids: BTreeMap<u32, String>,
    /// New groups, by name.
    new_groups: BTreeMap<String, u32>,
}

/// Adds to `database` what `items` declare and it lacks.
///
/// # Errors
/// [`AllocationError`].
pub(super) fn allocate(database: &mut Database, items: &Items, context: &Context<'_>) -> Result<(), AllocationError> {
    let mut uids = BTreeMap::new();
    database.passwd.iter().for_each(|user| _ = uids.entry(user.uid).or_insert_with(|| user.name.clone()));
    let mut gids = BTreeMap::new();
    database.group.iter().for_each(|group| _ = gids.entry(group.gid).or_insert_with(|| group.name.clone()));
    let ranges = if items.ranges.is_empty() { vec![context.default_range] } else { items.ranges.clone() };
    let mut allocator = Allocator { context, ranges, search: u32::MAX, uids, gids, new_groups: BTreeMap::new() };
    for group in &items.groups {
        allocator.group(database, &group.name, &group.ids, group.place.as_ref())?;
    }
    for user in &items.users {
        allocator.user(database, items, user)?;
    }
    for (group, users) in &items.members {
        for user in users {
            database.add_member(group, user);
        }
    }
    Ok(())
}

impl Allocator<'_> {
    /// Returns the gid of group `name`; creates the group if it does not exist.
    fn group(
        &mut self,
        database: &mut Database,
        name: &str,
        ids: &Ids,
        place: Option<&Place>,
    ) -> Result<u32, AllocationError> {
        if let Some(gid) = database.gid(name) {
            return Ok(gid);
        }
        if let (Some(gid), true) = (ids.gid, ids.strict) {
            return if self.gids.contains_key(&gid) {
                Ok(gid)
            } else {
                Err(AllocationError::NoGroup { place: at(place), user: name.into(), group: gid.to_string() })
            };
        }
        let wished = ids.gid.filter(|&gid| self.gid_is_free(gid, name, false));
        let as_uid = || ids.uid.filter(|&uid| self.gid_is_free(uid, name, true));
        let of_path =
            || self.owner(ids).map(|(_, gid)| gid).filter(|&gid| self.usable(gid) && self.gid_is_free(gid, name, true));
        let gid = match wished.or_else(as_uid).or_else(of_path) {
            Some(gid) => gid,
            None => self.next_free(name, place, Self::gid_is_free)?,
        };
        self.gids.insert(gid, name.to_owned());
        self.new_groups.insert(name.to_owned(), gid);
        database.group.push(Group { name: name.to_owned(), password: "x".into(), gid, members: Vec::new() });
        database.gshadow.retain(|line| line.name != name);
        database.gshadow.push(Gshadow {
            name: name.to_owned(),
            password: "!*".into(),
            administrators: String::new(),
            members: Vec::new(),
        });
        Ok(gid)
    }

    fn user(&mut self, database: &mut Database, items: &Items, user: &UserItem) -> Result<(), AllocationError> {
        let place = user.place.as_ref();
        let group_name = user.ids.group.as_deref().unwrap_or(&user.name);
        let declared = |name: &str| {
            items.groups.iter().any(|group: &GroupItem| group.name == name)
                || (user.ids.group.is_some() && items.users.iter().any(|other| other.name == name))
        };
        let queued =
            self.new_groups.get(group_name).copied().filter(|_| user.ids.gid.is_none() && declared(group_name));
        let (gid, strict) = match (queued, &user.ids.group) {
            (Some(gid), _) => (gid, true),
            (None, Some(group)) => {
                let missing =
                    || AllocationError::NoGroup { place: at(place), user: user.name.clone(), group: group.clone() };
                (database.gid(group).ok_or_else(missing)?, true)
            }
            (None, None) => (self.group(database, &user.name, &user.ids, place)?, user.ids.strict),
        };
        if database.uid(&user.name).is_some() {
            return Ok(());
        }
        let wished = user.ids.uid.filter(|&uid| self.uid_is_free(uid, &user.name, !strict));
        let of_path = || {
            let owner = self.owner(&user.ids).map(|(uid, _)| uid);
            owner.filter(|&uid| self.usable(uid) && self.uid_is_free(uid, &user.name, true))
        };
        let as_gid = || Some(gid).filter(|&gid| self.uid_is_free(gid, &user.name, true));
        let uid = match wished.or_else(of_path).or_else(as_gid) {
            Some(uid) => uid,
            None => self.next_free(&user.name, place, Self::uid_is_free)?,
        };
        self.uids.insert(uid, user.name.clone());
        self.add_user(database, user, uid, gid);
        Ok(())
    }

    fn add_user(&self, database: &mut Database, user: &UserItem, uid: u32, gid: u32) {
        let root_shell = if self.context.tree.resolve("bin/bash").is_some() { "/bin/bash" } else { "/bin/sh" };
        let default_shell = if uid == 0 { root_shell } else { "/usr/sbin/nologin" };
        database.passwd.push(Passwd {
            name: user.name.clone(),
            password: "x".into(),
            uid,
            gid,
            gecos: user.description.clone().unwrap_or_default(),
            home: user.home.clone().unwrap_or_else(|| "/".into()),
            shell: user.shell.clone().unwrap_or_else(|| default_shell.into()),
        });
        let last_change = self.context.epoch_days.to_string();
        if let Some(line) = database.shadow.iter_mut().find(|line| line.name == user.name) {
            line.last_change = last_change;
            return;
        }
        let password = if user.name == "root" { "!unprovisioned" } else { "!*" };
        let expire = if user.locked { "1" } else { "" };
        database.shadow.push(Shadow {
            name: user.name.clone(),
            password: password.into(),
            last_change,
            ageing: ["", "", "", "", expire, ""].map(str::to_owned),
        });
    }

    fn next_free(
        &mut self,
        name: &str,
        place: Option<&Place>,
        is_free: fn(&Self, u32, &str, bool) -> bool,
    ) -> Result<u32, AllocationError> {
        loop {
            let below = self.ranges.iter().filter(|(low, _)| *low < self.search);
            match below.map(|&(_, high)| high.min(self.search - 1)).max() {
                Some(id) => self.search = id,
                None => {
                    let low = self.ranges.iter().map(|range| range.0).min().unwrap_or_default();
                    let high = self.ranges.iter().map(|range| range.1).max().unwrap_or_default();
                    return Err(AllocationError::Exhausted { place: at(place), name: name.into(), low, high });
                }
            }
            if is_free(self, self.search, name, true) {
                return Ok(self.search);
            }
        }
    }

    fn reserved_for_other(&self, id: u32, name: &str) -> bool {
        self.context.reserved.get(&id).is_some_and(|owner| owner != name)
    }

    fn uid_is_free(&self, uid: u32, name: &str, check_gid: bool) -> bool {
        let gid_of_other = check_gid && self.gids.get(&uid).is_some_and(|group| group != name);
        let taken = gid_of_other || self.uids.contains_key(&uid) || self.reserved_for_other(uid, name);
        !taken
    }

    fn gid_is_free(&self, gid: u32, name: &str, check_uid: bool) -> bool {
        let uid_of_other = check_uid && self.uids.get(&gid).is_some_and(|user| user != name);
        let taken = uid_of_other || self.gids.contains_key(&gid) || self.reserved_for_other(gid, name);
        !taken
    }

    fn usable(&self, id: u32) -> bool {
        id > 0 && self.ranges.iter().any(|(low, high)| (*low..=*high).contains(&id))
    }

    fn owner(&self, ids: &Ids) -> Option<(u32, u32)> {
        let (_, entry) = self.context.tree.resolve(ids.path.as_deref()?)?;
        Some((entry.meta.uid, entry.meta.gid))
    }
}

fn at(place: Option<&Place>) -> String {
    place.map_or_else(|| "an m line of sysusers.d".into(), |place| format!("/{}:{}", place.file, place.line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str, range: (u32, u32)) -> Result<Database, AllocationError> {
        let mut items = Items::default();
        items.read("t.conf", text, &BTreeMap::new()).expect("valid lines");
        items.add_implicit();
        let mut database = Database::default();
        let tree = FileTree::new();
        let context = Context {
            tree: &tree,
            default_range: range,
            epoch_days: 7,
            reserved: &BTreeMap::from([(998, "mine".into())]),
        };
        allocate(&mut database, &items, &context).map(|()| database)
    }

    #[test]
    fn ids_go_down_from_the_top_and_skip_reserved_ones() {
        let database = run("u a\ng b\nm c b\n", (1, 999)).expect("room");
        assert_eq!(database.group_text(), "b:x:999:c\na:x:997:\nc:x:996:\n");
        assert_eq!(database.passwd_text(), "a:x:997:997::/:/usr/sbin/nologin\nc:x:996:996::/:/usr/sbin/nologin\n");
        assert_eq!(database.shadow_text(), "a:!*:7::::::\nc:!*:7::::::\n");
    }

    #[test]
    fn a_full_range_and_a_missing_group_are_errors() {
        let error = run("g a\ng b\n", (999, 999)).expect_err("full");
        assert_eq!(
            error.to_string(),
            "/t.conf:2: no id is free for \"b\" in 999-999: widen SYS_UID_MIN..SYS_UID_MAX in /etc/login.defs"
        );
        let error = run("u a 5:none\n", (1, 999)).expect_err("no group");
        assert_eq!(
            error.to_string(),
            "/t.conf:1: user \"a\" needs the group \"none\", which does not exist: declare it with a g line"
        );
    }
}
