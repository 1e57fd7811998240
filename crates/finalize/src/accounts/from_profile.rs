//! The users and groups of the profile. Their ids are given, so they are added before any is
//! allocated.

use super::{AccountsError, Database, Group, Gshadow, Passwd, Shadow};
use kiln_profile::{self as model, Key, fields};
use std::collections::BTreeMap;

/// The profile's users and groups.
pub(super) struct ProfileAccounts<'a> {
    pub accounts: &'a model::Accounts,
    pub epoch_days: u32,
}

impl ProfileAccounts<'_> {
    /// Returns the ids that sysusers.d must not allocate, with their owners.
    pub(super) fn reserved(&self) -> BTreeMap<u32, String> {
        let groups = self.accounts.groups.iter().map(|(name, gid)| (*gid, name.clone()));
        let users = self.accounts.users.iter().map(|(name, user)| (user.uid, name.clone()));
        groups.chain(users).collect()
    }

    pub(super) fn add_groups(&self, database: &mut Database) -> Result<(), AccountsError> {
        for (name, &gid) in &self.accounts.groups {
            Self::add_group(database, fields::GROUP.of(name), name, gid)?;
        }
        Ok(())
    }

    fn add_group(database: &mut Database, key: Key, name: &str, gid: u32) -> Result<(), AccountsError> {
        if let Some(existing) = database.gid(name) {
            let changed = || AccountsError::IdChanged { key, what: "gid", id: gid, existing };
            return if existing == gid { Ok(()) } else { Err(changed()) };
        }
        if let Some(owner) = database.group.iter().find(|group| group.gid == gid) {
            let owner = owner.name.clone();
            return Err(AccountsError::IdTaken { key, what: "gid", id: gid, owner });
        }
        database.group.push(Group { name: name.to_owned(), password: "x".into(), gid, members: Vec::new() });
        database.gshadow.push(Gshadow {
            name: name.to_owned(),
            password: "!".into(),
            administrators: String::new(),
            members: Vec::new(),
        });
        Ok(())
    }

    /// Adds users; those whose primary group does not exist yet are added only in the `last` round.
    pub(super) fn add_users(&self, database: &mut Database, last: bool) -> Result<(), AccountsError> {
        for (name, user) in &self.accounts.users {
            if last && database.uid(name) == Some(user.uid) {
                continue;
            }
            let gid = match &user.group {
                None => {
                    Self::add_group(database, fields::USER.of(name).below("uid"), name, user.uid)?;
                    user.uid
                }
                Some(group) => match group.parse::<u32>().ok().or_else(|| database.gid(group)) {
                    Some(gid) => gid,
                    None if last => {
                        let key = fields::USER.of(name).below("group");
                        return Err(AccountsError::UnknownGroup { key, group: group.to_string() });
                    }
                    None => continue,
                },
            };
            self.add_user(database, name, user, gid)?;
        }
        Ok(())
    }

    fn add_user(&self, database: &mut Database, name: &str, user: &model::User, gid: u32) -> Result<(), AccountsError> {
        let key = fields::USER.of(name).below("uid");
        if let Some(existing) = database.uid(name) {
            return Err(AccountsError::IdChanged { key, what: "uid", id: user.uid, existing });
        }
        if let Some(owner) = database.passwd.iter().find(|other| other.uid == user.uid) {
            let owner = owner.name.clone();
            return Err(AccountsError::IdTaken { key, what: "uid", id: user.uid, owner });
        }
        database.passwd.push(Passwd {
            name: name.to_owned(),
            password: "x".into(),
            uid: user.uid,
            gid,
            gecos: user.comment.clone(),
            home: user.home.clone(),
            shell: user.shell.clone(),
        });
        database.shadow.push(Shadow {
            name: name.to_owned(),
            password: "!*".into(),
            last_change: self.epoch_days.to_string(),
            ageing: Default::default(),
        });
        Ok(())
    }

    pub(super) fn add_members(&self, database: &mut Database) -> Result<(), AccountsError> {
        for (name, user) in &self.accounts.users {
            for group in &user.groups {
                if !database.add_member(group, name) {
                    let key = fields::USER.of(name).below("groups").item(group);
                    return Err(AccountsError::UnknownGroup { key, group: group.to_string() });
                }
            }
        }
        Ok(())
    }
}
