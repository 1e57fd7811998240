//! The four account files: passwd(5), group(5), shadow(5), gshadow(5), line by line.

use std::fmt::Write as _;

/// A line is not an account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("/{path}:{line}: {why}")]
pub struct DatabaseError {
    /// The file.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub why: String,
}

/// A line of `/etc/passwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passwd {
    /// Login name.
    pub name: String,
    /// `x`: the password is in shadow.
    pub password: String,
    /// Numeric id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Full name or purpose.
    pub gecos: String,
    /// Home directory.
    pub home: String,
    /// Login shell.
    pub shell: String,
}

/// A line of `/etc/group`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Group name.
    pub name: String,
    /// `x`: the password is in gshadow.
    pub password: String,
    /// Numeric id.
    pub gid: u32,
    /// Members other than those whose primary group it is.
    pub members: Vec<String>,
}

/// A line of `/etc/shadow`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadow {
    /// Login name.
    pub name: String,
    /// A hash, or a text that no hash equals.
    pub password: String,
    /// Day of the last change, days since 1970.
    pub last_change: String,
    /// min, max, warn, inactive, expire and the reserved field, verbatim.
    pub ageing: [String; 6],
}

/// A line of `/etc/gshadow`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gshadow {
    /// Group name.
    pub name: String,
    /// A hash, or a text that no hash equals.
    pub password: String,
    /// Group administrators, verbatim.
    pub administrators: String,
    /// Members.
    pub members: Vec<String>,
}

/// All accounts, in the order of the files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Database {
    /// `/etc/passwd`.
    pub passwd: Vec<Passwd>,
    /// `/etc/group`.
    pub group: Vec<Group>,
    /// `/etc/shadow`.
    pub shadow: Vec<Shadow>,
    /// `/etc/gshadow`.
    pub gshadow: Vec<Gshadow>,
}

fn records<const N: usize, T>(
    path: &str,
    text: &str,
    parse: impl Fn([&str; N]) -> Result<T, String>,
) -> Result<Vec<T>, DatabaseError> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, line)| {
            let fields: Vec<&str> = line.split(':').collect();
            let count = fields.len();
            <[&str; N]>::try_from(fields)
                .map_err(|_| format!("{count} fields instead of {N}"))
                .and_then(&parse)
                .map_err(|why| DatabaseError { path: path.to_owned(), line: index + 1, why })
        })
        .collect()
}

fn id(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("{text:?} is not a numeric id"))
}

fn members(text: &str) -> Vec<String> {
    text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Parses a passwd file; `path` is for messages.
///
/// # Errors
/// [`DatabaseError`] for a line that does not have seven fields or whose ids are not numeric.
pub(super) fn parse_passwd(path: &str, text: &str) -> Result<Vec<Passwd>, DatabaseError> {
    records(path, text, |[name, password, uid, gid, gecos, home, shell]| {
        Ok(Passwd {
            name: name.into(),
            password: password.into(),
            uid: id(uid)?,
            gid: id(gid)?,
            gecos: gecos.into(),
            home: home.into(),
            shell: shell.into(),
        })
    })
}

/// Parses a group file.
///
/// # Errors
/// [`DatabaseError`] for a line that does not have four fields or whose id is not numeric.
pub(super) fn parse_group(path: &str, text: &str) -> Result<Vec<Group>, DatabaseError> {
    records(path, text, |[name, password, gid, list]| {
        Ok(Group { name: name.into(), password: password.into(), gid: id(gid)?, members: members(list) })
    })
}

/// Parses a shadow file.
///
/// # Errors
/// [`DatabaseError`] for a line that does not have nine fields.
pub(super) fn parse_shadow(path: &str, text: &str) -> Result<Vec<Shadow>, DatabaseError> {
    records(path, text, |[name, password, last_change, ageing @ ..]: [&str; 9]| {
        Ok(Shadow {
            name: name.into(),
            password: password.into(),
            last_change: last_change.into(),
            ageing: ageing.map(str::to_owned),
        })
    })
}

/// Parses a gshadow file.
///
/// # Errors
/// [`DatabaseError`] for a line that does not have four fields.
pub(super) fn parse_gshadow(path: &str, text: &str) -> Result<Vec<Gshadow>, DatabaseError> {
    records(path, text, |[name, password, administrators, list]| {
        Ok(Gshadow {
            name: name.into(),
            password: password.into(),
            administrators: administrators.into(),
            members: members(list),
        })
    })
}

impl Database {
    /// The text of `/etc/passwd`.
    pub fn passwd_text(&self) -> String {
        let mut text = String::new();
        for Passwd { name, password, uid, gid, gecos, home, shell } in &self.passwd {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name}:{password}:{uid}:{gid}:{gecos}:{home}:{shell}");
        }
        text
    }

    /// The text of `/etc/group`.
    pub fn group_text(&self) -> String {
        let mut text = String::new();
        for Group { name, password, gid, members } in &self.group {
            let _ = writeln!(text, "{name}:{password}:{gid}:{}", members.join(","));
        }
        text
    }

    /// The text of `/etc/shadow`.
    pub fn shadow_text(&self) -> String {
        let mut text = String::new();
        for Shadow { name, password, last_change, ageing } in &self.shadow {
            let _ = writeln!(text, "{name}:{password}:{last_change}:{}", ageing.join(":"));
        }
        text
    }

    /// The text of `/etc/gshadow`.
    pub fn gshadow_text(&self) -> String {
        let mut text = String::new();
        for Gshadow { name, password, administrators, members } in &self.gshadow {
            let _ = writeln!(text, "{name}:{password}:{administrators}:{}", members.join(","));
        }
        text
    }

    /// Moves passwords into shadow and gshadow, as pwconv(8) and grpconv(8) do (the postinst of the
    /// package passwd runs them): accounts without a shadow line get one, changed on day
    /// `epoch_days` and with the ageing `min`, `max` and `warn` of login.defs.
    pub fn convert_to_shadow(&mut self, epoch_days: u32, [min, max, warn]: [&str; 3]) {
        self.shadow.retain(|line| self.passwd.iter().any(|user| user.name == line.name));
        self.gshadow.retain(|line| self.group.iter().any(|group| group.name == line.name));
        for user in &mut self.passwd {
            let password = std::mem::replace(&mut user.password, "x".into());
            if !self.shadow.iter().any(|line| line.name == user.name) {
                self.shadow.push(Shadow {
                    name: user.name.clone(),
                    password,
                    last_change: epoch_days.to_string(),
                    ageing: [min, max, warn, "", "", ""].map(str::to_owned),
                });
            }
        }
        for group in &mut self.group {
            let password = std::mem::replace(&mut group.password, "x".into());
            if !self.gshadow.iter().any(|line| line.name == group.name) {
                self.gshadow.push(Gshadow {
                    name: group.name.clone(),
                    password,
                    administrators: String::new(),
                    members: group.members.clone(),
                });
            }
        }
    }

    /// The uid of the user called `name`.
    pub fn uid(&self, name: &str) -> Option<u32> {
        self.passwd.iter().find(|user| user.name == name).map(|user| user.uid)
    }

    /// The gid of the group called `name`.
    pub fn gid(&self, name: &str) -> Option<u32> {
        self.group.iter().find(|group| group.name == name).map(|group| group.gid)
    }

    /// Adds `user` to the supplementary group `group`; when the list changes it is sorted, as
    /// systemd-sysusers does. Returns `false` if the group does not exist.
    pub fn add_member(&mut self, group: &str, user: &str) -> bool {
        let add = |members: &mut Vec<String>| {
            if !members.iter().any(|member| member == user) {
                members.push(user.to_owned());
                members.sort();
                members.dedup();
            }
        };
        let Some(line) = self.group.iter_mut().find(|line| line.name == group) else { return false };
        add(&mut line.members);
        if let Some(line) = self.gshadow.iter_mut().find(|line| line.name == group) {
            add(&mut line.members);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_bad_line_is_named() {
        let error =
            parse_passwd("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nbad:x:zero:0:::\n").expect_err("bad uid");
        assert_eq!(error.to_string(), "/etc/passwd:2: \"zero\" is not a numeric id");
        let error = parse_group("etc/group", "root:x:0\n").expect_err("short");
        assert_eq!(error.to_string(), "/etc/group:1: 3 fields instead of 4");
    }

    #[test]
    fn members_are_added_once_and_sorted() {
        let mut database = Database {
            group: parse_group("g", "kvm:x:9:zoe\n").expect("valid"),
            gshadow: parse_gshadow("g", "kvm:!*::zoe\n").expect("valid"),
            ..Database::default()
        };
        assert!(database.add_member("kvm", "ann") && database.add_member("kvm", "ann"));
        assert!(!database.add_member("none", "ann"));
        assert_eq!(database.group_text(), "kvm:x:9:ann,zoe\n");
        assert_eq!(database.gshadow_text(), "kvm:!*::ann,zoe\n");
    }

    proptest! {
        #[test]
        fn parsed_text_is_written_unchanged(text in "([a-z]{1,5}:x:[0-9]{1,9}:[0-9]{1,9}:[a-z ]{0,5}:/:/bin/sh\n){0,5}") {
            let database = Database { passwd: parse_passwd("p", &text).expect("valid"), ..Database::default() };
            let numbers_as_printed = !text.contains(":0") || text.lines().all(|line| line.split(':').skip(2).take(2).all(|id| id == "0" || !id.starts_with('0')));
            if numbers_as_printed {
                prop_assert_eq!(database.passwd_text(), text);
            }
        }

        #[test]
        fn any_text_is_rejected_or_read(text in "\\PC{0,80}(\n\\PC{0,80}){0,3}") {
            let _ = (parse_passwd("p", &text), parse_group("g", &text), parse_shadow("s", &text), parse_gshadow("t", &text));
        }
    }
}
