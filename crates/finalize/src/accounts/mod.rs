//! `/etc/passwd`, `/etc/group`, `/etc/shadow` and `/etc/gshadow`.
//!
//! They are made in the order of a Debian installation: base-passwd's master files, passwd's shadow
//! conversion, the accounts of the profile, then sysusers.d as systemd-sysusers(8) reads it,
//! together with the accounts that postinst scripts create (`postinst`). New lines follow the
//! existing ones, groups in the order of allocation, users in the order of declaration, as
//! systemd-sysusers writes them.

mod allocate;
mod database;
mod from_profile;
mod postinst;
mod specifiers;
mod sysusers;

pub use allocate::AllocationError;
pub use database::{Database, DatabaseError, Group, Gshadow, Passwd, Shadow};
pub use postinst::{ACCOUNTS, PostinstAccounts, STAT_OVERRIDES, StatOverride};
pub use specifiers::SpecifierError;
pub use sysusers::{SysusersError, Why};

use super::Finalizer;
use super::input::{self, InputError, OutputError};
use super::os_release;
use from_profile::ProfileAccounts;
use kiln_profile::{self as model, AboutProfile, Key, fields};
use kiln_tree::{ContentReader, Entry, FileTree};
use std::collections::BTreeMap;
use sysusers::Items;

pub(crate) const FINALIZER: Finalizer = Finalizer {
    name: "accounts",
    reads: &[
        &DIRS,
        &[
            "etc/passwd",
            "etc/group",
            "etc/shadow",
            "etc/gshadow",
            "usr/share/base-passwd",
            LOGIN_DEFS,
            os_release::PATH,
        ],
    ],
};
const LOGIN_DEFS: &str = "etc/login.defs";
/// The directories of sysusers.d, highest priority first.
const DIRS: [&str; 4] = ["etc/sysusers.d", "run/sysusers.d", "usr/local/lib/sysusers.d", "usr/lib/sysusers.d"];
/// Debian's systemd is built with `-Dsystem-uid-max=999`.
const SYSTEM_UID_MAX: u32 = 999;

/// Why the account files cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// A file cannot be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The tree has neither base-passwd's file nor a finished one.
    #[error("neither /{finished} nor /{master} is in the tree: add the package base-passwd")]
    NoMaster {
        /// The file to be made.
        finished: &'static str,
        /// Its source.
        master: &'static str,
    },
    /// An account file is malformed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A file of sysusers.d is malformed.
    #[error(transparent)]
    Sysusers(#[from] SysusersError),
    /// An id cannot be allocated.
    #[error(transparent)]
    Allocation(#[from] AllocationError),
    /// The profile assigns an id that another account has.
    #[error("{key}: the {what} {id} already belongs to {owner:?}: choose another")]
    IdTaken {
        /// The key of the id.
        key: Key,
        /// `uid` or `gid`.
        what: &'static str,
        /// The id.
        id: u32,
        /// The account that has it.
        owner: String,
    },
    /// The profile assigns another id to an existing account.
    #[error("{key}: the account exists with the {what} {existing} and cannot be given {id}")]
    IdChanged {
        /// The key of the id.
        key: Key,
        /// `uid` or `gid`.
        what: &'static str,
        /// The id in the profile.
        id: u32,
        /// The id of the account.
        existing: u32,
    },
    /// The profile names a group that is not declared.
    #[error("{key}: no group is called {group:?}: declare it under {}", Key::from(fields::GROUPS))]
    UnknownGroup {
        /// The key that names it.
        key: Key,
        /// The group.
        group: String,
    },
    /// The files cannot be put into the tree.
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl AboutProfile for AccountsError {
    fn key(&self) -> Option<Key> {
        match self {
            Self::IdTaken { key, .. } | Self::IdChanged { key, .. } | Self::UnknownGroup { key, .. } => {
                Some(key.clone())
            }
            Self::Input(_)
            | Self::NoMaster { .. }
            | Self::Database(_)
            | Self::Sysusers(_)
            | Self::Allocation(_)
            | Self::Output(_) => None,
        }
    }
}

/// Writes the four account files into `tree` and gives files with a statoverride their owners.
///
/// `epoch_days` (the image's epoch, in days since 1970) is the day of the last password change in
/// shadow. Returns the warnings that systemd-sysusers would print.
///
/// # Errors
/// [`AccountsError`].
pub fn finalize(
    tree: &mut FileTree,
    reader: &dyn ContentReader,
    accounts: &model::Accounts,
    epoch_days: u32,
) -> Result<Vec<String>, AccountsError> {
    let (database, warnings) = compute(tree, reader, accounts, epoch_days)?;
    let shadow_gid = database.gid("shadow").unwrap_or(0);
    let file = |text: String, mode| Entry::file(text, mode, FINALIZER.origin());
    input::put(tree, "etc/passwd", file(database.passwd_text(), 0o644))?;
    input::put(tree, "etc/group", file(database.group_text(), 0o644))?;
    input::put(tree, "etc/shadow", file(database.shadow_text(), 0o640).owned(0, shadow_gid))?;
    input::put(tree, "etc/gshadow", file(database.gshadow_text(), 0o640).owned(0, shadow_gid))?;
    apply_stat_overrides(tree, &database);
    Ok(warnings)
}

/// Returns the accounts that [`finalize`] writes, and the warnings.
///
/// # Errors
/// [`AccountsError`].
pub fn compute(
    tree: &FileTree,
    reader: &dyn ContentReader,
    accounts: &model::Accounts,
    epoch_days: u32,
) -> Result<(Database, Vec<String>), AccountsError> {
    let mut database = load(tree, reader)?;
    let login_defs = login_defs(tree, reader)?;
    let ageing = |key: &str, default: &'static str| login_defs.get(key).map_or(default, String::as_str).to_owned();
    let (min, max, warn) =
        (ageing("PASS_MIN_DAYS", "0"), ageing("PASS_MAX_DAYS", "99999"), ageing("PASS_WARN_AGE", "7"));
    database.convert_to_shadow(epoch_days, [&min, &max, &warn]);

    let profile = ProfileAccounts { accounts, epoch_days };
    profile.add_groups(&mut database)?;
    profile.add_users(&mut database, false)?;
    let items = declared(tree, reader)?;
    let context =
        allocate::Context { tree, default_range: system_range(&login_defs), epoch_days, reserved: &profile.reserved() };
    allocate::allocate(&mut database, &items, &context)?;
    profile.add_users(&mut database, true)?;
    profile.add_members(&mut database)?;
    Ok((database, items.conflicts))
}

fn load(tree: &FileTree, reader: &dyn ContentReader) -> Result<Database, AccountsError> {
    let first_of = |finished: &'static str, master: &'static str| {
        let path = [finished, master].into_iter().find(|path| tree.contains(path));
        let path = path.ok_or(AccountsError::NoMaster { finished, master })?;
        Ok::<_, AccountsError>((path, input::text(tree, reader, path)?))
    };
    let optional = |path: &str| if tree.contains(path) { input::text(tree, reader, path) } else { Ok(String::new()) };
    let (passwd, passwd_text) = first_of("etc/passwd", "usr/share/base-passwd/passwd.master")?;
    let (group, group_text) = first_of("etc/group", "usr/share/base-passwd/group.master")?;
    Ok(Database {
        passwd: database::parse_passwd(passwd, &passwd_text)?,
        group: database::parse_group(group, &group_text)?,
        shadow: database::parse_shadow("etc/shadow", &optional("etc/shadow")?)?,
        gshadow: database::parse_gshadow("etc/gshadow", &optional("etc/gshadow")?)?,
    })
}

/// Reads login.defs(5): `KEY value` lines; later ones win.
fn login_defs(tree: &FileTree, reader: &dyn ContentReader) -> Result<BTreeMap<String, String>, InputError> {
    if tree.resolve(LOGIN_DEFS).is_none() {
        return Ok(BTreeMap::new());
    }
    let text = input::text(tree, reader, LOGIN_DEFS)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    Ok(lines
        .filter_map(|line| line.split_once(char::is_whitespace))
        .map(|(key, value)| (key.to_owned(), value.trim().to_owned()))
        .collect())
}

/// Returns the range that systemd-sysusers allocates from: login.defs' minimum (1 unless set), and
/// the lowest of the compiled-in maximum and login.defs' two.
fn system_range(login_defs: &BTreeMap<String, String>) -> (u32, u32) {
    let number = |key: &str| login_defs.get(key).and_then(|value| value.parse::<u32>().ok());
    let max = ["SYS_UID_MAX", "SYS_GID_MAX"].into_iter().filter_map(number).chain([SYSTEM_UID_MAX]).min();
    (number("SYS_UID_MIN").unwrap_or(1), max.unwrap_or(SYSTEM_UID_MAX))
}

/// Returns all declarations: those of sysusers.d and, sorted among its files by name, those of
/// [`postinst::ACCOUNTS`] whose package is in the tree and whose names no file declares.
fn declared(tree: &FileTree, reader: &dyn ContentReader) -> Result<Items, AccountsError> {
    let os_release = match tree.resolve(os_release::PATH) {
        Some(_) => os_release::parse(&input::text(tree, reader, os_release::PATH)?),
        None => BTreeMap::new(),
    };
    let mut texts: Vec<(String, String)> = Vec::new();
    for path in input::drop_ins(tree, &DIRS, ".conf") {
        let text = input::text(tree, reader, &path)?;
        texts.push((path, text));
    }
    let mut from_files = Items::default();
    for (path, text) in &texts {
        from_files.read(path, text, &os_release)?;
    }
    let known = |name: &str| {
        from_files.users.iter().any(|user| user.name == name)
            || from_files.groups.iter().any(|group| group.name == name)
    };
    for package in postinst::ACCOUNTS.iter().filter(|package| tree.resolve(package.witness).is_some()) {
        let undeclared = |line: &&str| line.split_whitespace().nth(1).is_some_and(|name| !known(name));
        let lines: Vec<&str> = package.lines.lines().filter(undeclared).collect();
        if !lines.is_empty() {
            texts.push((format!("postinst/{}", package.file), lines.join("\n")));
        }
    }
    texts.sort_by(|(a, _), (b, _)| file_name(a).cmp(file_name(b)));
    let mut items = Items::default();
    for (path, text) in &texts {
        items.read(path, text, &os_release)?;
    }
    items.add_implicit();
    Ok(items)
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn apply_stat_overrides(tree: &mut FileTree, database: &Database) {
    for change in postinst::STAT_OVERRIDES {
        let ids = database.uid(change.user).zip(database.gid(change.group));
        if let (Some((uid, gid)), Some(entry)) = (ids, tree.get_mut(change.path)) {
            (entry.meta.uid, entry.meta.gid, entry.meta.mode) = (uid, gid, change.mode);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_tree::{LocalReader, Origin};
    use std::collections::BTreeSet;

    const PASSWD: &str = "root:*:0:0:root:/root:/bin/bash\n";
    const GROUP: &str = "root:*:0:\nshadow:*:42:\n";

    fn tree(files: &[(&str, &str)]) -> FileTree {
        let mut tree = FileTree::new();
        let masters = [("usr/share/base-passwd/passwd.master", PASSWD), ("usr/share/base-passwd/group.master", GROUP)];
        for (path, text) in masters.iter().chain(files) {
            let entry = Entry::file(text.as_bytes().to_vec(), 0o644, Origin::Generated("test".into()));
            input::put(&mut tree, path, entry).expect("a free path");
        }
        tree
    }

    fn user(uid: u32, group: Option<&str>, groups: &[&str]) -> model::User {
        model::User {
            uid,
            group: group.map(str::to_owned),
            home: "/nonexistent".into(),
            shell: "/usr/sbin/nologin".into(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect::<BTreeSet<_>>(),
            comment: String::new(),
        }
    }

    fn text(tree: &FileTree, path: &str) -> String {
        input::text(tree, &LocalReader, path).expect("a text file")
    }

    #[test]
    fn passwords_move_to_shadow_and_files_get_their_owner() {
        let mut tree = tree(&[("usr/lib/sysusers.d/a.conf", "u messagebus\n"), (STAT_OVERRIDES[0].path, "")]);
        finalize(&mut tree, &LocalReader, &model::Accounts::default(), 20_000).expect("made");
        assert_eq!(text(&tree, "etc/shadow"), "root:*:20000:0:99999:7:::\nmessagebus:!*:20000::::::\n");
        assert_eq!(text(&tree, "etc/gshadow"), "root:*::\nshadow:*::\nmessagebus:!*::\n");
        let shadow = &tree.get("etc/shadow").expect("there").meta;
        assert_eq!((shadow.mode, shadow.uid, shadow.gid), (0o640, 0, 42));
        let helper = &tree.get(STAT_OVERRIDES[0].path).expect("there").meta;
        assert_eq!((helper.mode, helper.uid, helper.gid), (0o4754, 0, 999));
    }

    #[test]
    fn the_profile_keeps_its_ids_and_may_use_groups_of_packages() {
        let tree = tree(&[("usr/lib/sysusers.d/a.conf", "g kvm\nu svc\n")]);
        let accounts = model::Accounts {
            users: BTreeMap::from([
                ("pods".into(), user(999, Some("kvm"), &["svc"])),
                ("own".into(), user(700, None, &[])),
            ]),
            groups: BTreeMap::from([("ops".into(), 998)]),
        };
        let (database, warnings) = compute(&tree, &LocalReader, &accounts, 1).expect("made");
        assert_eq!(
            database.group_text(),
            "root:x:0:\nshadow:x:42:\nops:x:998:\nown:x:700:\nkvm:x:997:\nsvc:x:996:pods\n"
        );
        assert_eq!(database.uid("pods").zip(database.gid("kvm")), Some((999, 997)));
        assert!(warnings.is_empty());
    }

    #[test]
    fn impossible_profiles_are_rejected() {
        let tree = tree(&[]);
        let check =
            |accounts: model::Accounts| compute(&tree, &LocalReader, &accounts, 1).expect_err("rejected").to_string();
        let users =
            |name: &str, user| model::Accounts { users: BTreeMap::from([(name.into(), user)]), ..Default::default() };
        assert_eq!(
            check(users("pods", user(0, Some("root"), &[]))),
            "users.pods.uid: the uid 0 already belongs to \"root\": choose another"
        );
        assert_eq!(
            check(users("root", user(5, Some("0"), &[]))),
            "users.root.uid: the account exists with the uid 0 and cannot be given 5"
        );
        assert_eq!(
            check(users("pods", user(5, Some("none"), &[]))),
            "users.pods.group: no group is called \"none\": declare it under groups"
        );
        assert_eq!(
            check(model::Accounts { groups: BTreeMap::from([("g".into(), 42)]), ..Default::default() }),
            "groups.g: the gid 42 already belongs to \"shadow\": choose another"
        );
        let error = compute(&FileTree::new(), &LocalReader, &model::Accounts::default(), 1).expect_err("empty");
        assert_eq!(
            error.to_string(),
            "neither /etc/passwd nor /usr/share/base-passwd/passwd.master is in the tree: add the package base-passwd"
        );
    }
}
