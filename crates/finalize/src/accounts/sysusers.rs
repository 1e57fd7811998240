//! sysusers.d(5): parses lines into items.

use super::specifiers::{self, SpecifierError};
use crate::words::{Backslash, WordError, words};
use std::collections::BTreeMap;

/// A line is not one that systemd-sysusers accepts.
#[derive(Debug, thiserror::Error)]
#[error("/{file}:{line}: {why}")]
pub struct SysusersError {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub why: Why,
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// A quote or backslash is wrong.
    #[error("{0}")]
    Words(String),
    /// A specifier is wrong.
    #[error(transparent)]
    Specifier(#[from] SpecifierError),
    /// Anything else, as text.
    #[error("{0}")]
    Line(String),
}

impl From<WordError> for Why {
    fn from(error: WordError) -> Self {
        Self::Words(error.to_string())
    }
}

/// Where an item was declared, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The file, relative to the root.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
}

/// How the id of a `u` or `g` line is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ids {
    /// The requested uid (`u`), if any.
    pub uid: Option<u32>,
    /// The requested gid (`g`), or the gid of an existing group (`u NAME UID:GID`).
    pub gid: Option<u32>,
    /// The name of an existing group (`u NAME UID:GROUP`).
    pub group: Option<String>,
    /// A path whose owner has the id.
    pub path: Option<String>,
    /// `UID:GID` was given: the group must exist and the uid need not equal its gid.
    pub strict: bool,
}

/// A `u` line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct UserItem {
    /// Name.
    pub name: String,
    /// The requested ids.
    pub ids: Ids,
    /// GECOS field.
    pub description: Option<String>,
    /// Home directory.
    pub home: Option<String>,
    /// Login shell.
    pub shell: Option<String>,
    /// `u!`: the account is expired as well.
    pub locked: bool,
    /// Where it was declared; `None` if only an `m` line mentions it.
    pub place: Option<Place>,
}

/// A `g` line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct GroupItem {
    /// Name.
    pub name: String,
    /// Wished id.
    pub ids: Ids,
    /// Where it was declared; `None` if only an `m` line mentions it.
    pub place: Option<Place>,
}

/// Everything that all files declare, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Items {
    /// `g` lines, then groups that only `m` lines mention.
    pub groups: Vec<GroupItem>,
    /// `u` lines, then users that only `m` lines mention.
    pub users: Vec<UserItem>,
    /// `m` lines: group → users, in order of appearance.
    pub members: Vec<(String, Vec<String>)>,
    /// `r` lines: inclusive ranges from which ids are allocated.
    pub ranges: Vec<(u32, u32)>,
    /// Lines that contradict an earlier one; they are ignored, as systemd-sysusers does with a
    /// warning.
    pub conflicts: Vec<String>,
}

const MAX_ID: u32 = u32::MAX - 1;

impl Items {
    /// Adds the lines of `text`, the content of `file`.
    ///
    /// # Errors
    /// [`SysusersError`] for the first invalid line.
    pub(super) fn read(
        &mut self,
        file: &str,
        text: &str,
        os_release: &BTreeMap<String, String>,
    ) -> Result<(), SysusersError> {
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            let place = Place { file: file.to_owned(), line: index + 1 };
            self.line(line, &place, os_release).map_err(|why| SysusersError {
                file: place.file,
                line: place.line,
                why,
            })?;
        }
        Ok(())
    }

    fn line(&mut self, line: &str, place: &Place, os_release: &BTreeMap<String, String>) -> Result<(), Why> {
        let fields = words(line, Backslash::Escapes)?;
        let [action, rest @ ..] = fields.as_slice() else { return Ok(()) };
        if rest.is_empty() || rest.len() > 5 {
            return Err(Why::Line(format!(
                "{} columns; there are two to six: type, name, id, GECOS, home, shell",
                fields.len()
            )));
        }
        let mut columns: [Option<String>; 5] = Default::default();
        for (column, field) in columns.iter_mut().zip(rest) {
            if !matches!(field.as_str(), "" | "-") {
                *column = Some(specifiers::expand(field, os_release)?);
            }
        }
        let [name, id, description, home, shell] = columns;
        let extra = description.is_some() || home.is_some() || shell.is_some();
        match action.as_str() {
            "r" if name.is_some() => Err(Why::Line("a line of type r takes no name".into())),
            "r" | "g" | "m" if extra => {
                Err(Why::Line(format!("a line of type {action} takes no GECOS, home directory or shell")))
            }
            "r" => {
                self.ranges.push(range(id.as_deref().unwrap_or_default())?);
                Ok(())
            }
            "m" => {
                let group = valid_name(
                    id.ok_or_else(|| Why::Line("a line of type m needs a group in its third column".into()))?,
                )?;
                self.member(valid_name(required(name)?)?, group);
                Ok(())
            }
            "g" => {
                self.group(GroupItem {
                    name: valid_name(required(name)?)?,
                    ids: group_ids(id)?,
                    place: Some(place.clone()),
                });
                Ok(())
            }
            "u" | "u!" => {
                let user = UserItem {
                    name: valid_name(required(name)?)?,
                    ids: user_ids(id)?,
                    description: description.map(|text| valid_field("GECOS field", text)).transpose()?,
                    home: home.map(|text| valid_path("home directory", text)).transpose()?,
                    shell: shell.map(|text| valid_path("login shell", text)).transpose()?,
                    locked: action == "u!",
                    place: Some(place.clone()),
                };
                self.user(user);
                Ok(())
            }
            _ => Err(Why::Line(format!("{action:?} is not a line type; the types are u, u!, g, m and r"))),
        }
    }

    fn user(&mut self, user: UserItem) {
        let Some(first) = self.users.iter().find(|first| first.name == user.name) else { return self.users.push(user) };
        let key = |user: &UserItem| (user.ids.clone(), user.description.clone(), user.home.clone(), user.shell.clone());
        if key(first) != key(&user) {
            self.conflicts.push(conflict("user", &user.name, user.place.as_ref(), first.place.as_ref()));
        }
    }

    fn group(&mut self, group: GroupItem) {
        let Some(first) = self.groups.iter().find(|first| first.name == group.name) else {
            return self.groups.push(group);
        };
        if first.ids != group.ids {
            self.conflicts.push(conflict("group", &group.name, group.place.as_ref(), first.place.as_ref()));
        }
    }

    fn member(&mut self, user: String, group: String) {
        match self.members.iter_mut().find(|(name, _)| *name == group) {
            Some((_, users)) if users.contains(&user) => {}
            Some((_, users)) => users.push(user),
            None => self.members.push((group, vec![user])),
        }
    }

    /// Adds the users and groups that only `m` lines mention.
    pub(super) fn add_implicit(&mut self) {
        for (group, users) in &self.members {
            for user in users {
                if !self.users.iter().any(|known| known.name == *user) {
                    self.users.push(UserItem { name: user.clone(), ..UserItem::default() });
                }
            }
            let known = self.users.iter().any(|known| known.name == *group)
                || self.groups.iter().any(|known| known.name == *group);
            if !known {
                self.groups.push(GroupItem { name: group.clone(), ..GroupItem::default() });
            }
        }
    }
}

fn conflict(kind: &str, name: &str, here: Option<&Place>, first: Option<&Place>) -> String {
    let place =
        |place: Option<&Place>| place.map_or_else(String::new, |place| format!("/{}:{}", place.file, place.line));
    format!("{}: {kind} {name:?} contradicts {} and is ignored", place(here), place(first))
}

fn required(name: Option<String>) -> Result<String, Why> {
    name.ok_or_else(|| Why::Line("the name is missing".into()))
}

/// Checks a name by systemd's relaxed rules (`valid_user_group_name`, strict part), which keep the
/// syntax of the account files intact.
fn valid_name(name: String) -> Result<String, Why> {
    let first = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let rest = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    if first && rest && name.len() <= 31 {
        Ok(name)
    } else {
        Err(Why::Line(format!(
            "{name:?} is not a valid user or group name (a letter or _, then letters, digits, _, - and ., 31 at most)"
        )))
    }
}

fn valid_field(what: &str, text: String) -> Result<String, Why> {
    if text.chars().any(|c| c == ':' || c.is_control()) {
        Err(Why::Line(format!("{text:?} is not a valid {what}: it has a colon or a control character")))
    } else {
        Ok(text)
    }
}

fn valid_path(what: &str, text: String) -> Result<String, Why> {
    if !text.starts_with('/') {
        return Err(Why::Line(format!("{text:?} is not a valid {what}: it is not absolute")));
    }
    valid_field(what, simplify(&text))
}

/// Removes repeated and trailing slashes and `.` components, as `path_simplify` does.
fn simplify(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    format!("/{}", parts.join("/"))
}

fn number(what: &str, text: &str) -> Result<u32, Why> {
    // 65535 is (uid_t) -1 of 16-bit interfaces; systemd rejects both.
    match text.parse() {
        Ok(id) if id <= MAX_ID && id != 0xFFFF && text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(id),
        _ => Err(Why::Line(format!("{text:?} is not a {what}"))),
    }
}

fn range(text: &str) -> Result<(u32, u32), Why> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let (low, high) = (number("range of ids", low)?, number("range of ids", high)?);
    if low > high { Err(Why::Line(format!("the range {text:?} is empty"))) } else { Ok((low, high)) }
}

fn group_ids(id: Option<String>) -> Result<Ids, Why> {
    let Some(id) = id else { return Ok(Ids::default()) };
    if id.starts_with('/') {
        return Ok(Ids { path: Some(simplify(&id)), ..Ids::default() });
    }
    Ok(Ids { gid: Some(number("gid", &id)?), ..Ids::default() })
}

fn user_ids(id: Option<String>) -> Result<Ids, Why> {
    let Some(id) = id else { return Ok(Ids::default()) };
    if id.starts_with('/') {
        return Ok(Ids { path: Some(simplify(&id)), ..Ids::default() });
    }
    let mut ids = Ids::default();
    let uid = match id.split_once(':') {
        None => id.as_str(),
        Some((uid, group)) => {
            match number("gid", group) {
                Ok(gid) => (ids.gid, ids.strict) = (Some(gid), true),
                Err(_) => ids.group = Some(valid_name(group.to_owned())?),
            }
            uid
        }
    };
    if uid != "-" {
        ids.uid = Some(number("uid", uid)?);
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn items(text: &str) -> Result<Items, SysusersError> {
        let mut items = Items::default();
        items.read("usr/lib/sysusers.d/t.conf", text, &BTreeMap::new())?;
        Ok(items)
    }

    #[test]
    fn every_line_type_is_read() {
        let items = items(
            "# comment\nu! net - \"Net work\" /var//lib/ /bin/false\nu sync 4:65534\nu f /usr/bin/f\nu x -:adm\ng kvm 78\nm ann kvm\nm bob kvm\nr - 500-900\n",
        )
        .expect("valid");
        assert!(items.users[0].locked);
        assert_eq!(items.users[0].description.as_deref(), Some("Net work"));
        assert_eq!(items.users[0].home.as_deref(), Some("/var/lib"));
        assert_eq!(items.users[1].ids, Ids { uid: Some(4), gid: Some(65534), strict: true, ..Ids::default() });
        assert_eq!(items.users[2].ids.path.as_deref(), Some("/usr/bin/f"));
        assert_eq!(items.users[3].ids.group.as_deref(), Some("adm"));
        assert_eq!(items.groups[0].ids.gid, Some(78));
        assert_eq!(items.members, [("kvm".to_owned(), vec!["ann".to_owned(), "bob".to_owned()])]);
        assert_eq!(items.ranges, [(500, 900)]);
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (text, expected) in [
            ("\nx y", "/usr/lib/sysusers.d/t.conf:2: \"x\" is not a line type; the types are u, u!, g, m and r"),
            (
                "u a:b",
                "/usr/lib/sysusers.d/t.conf:1: \"a:b\" is not a valid user or group name (a letter or _, then letters, digits, _, - and ., 31 at most)",
            ),
            ("u a 65535", "/usr/lib/sysusers.d/t.conf:1: \"65535\" is not a uid"),
            ("g a - desc", "/usr/lib/sysusers.d/t.conf:1: a line of type g takes no GECOS, home directory or shell"),
            ("m a", "/usr/lib/sysusers.d/t.conf:1: a line of type m needs a group in its third column"),
            ("u a - \"b", "/usr/lib/sysusers.d/t.conf:1: a quotation mark is not closed"),
            ("u %m", "/usr/lib/sysusers.d/t.conf:1: %m is only known on a running machine"),
            (
                "u a - - home",
                "/usr/lib/sysusers.d/t.conf:1: \"home\" is not a valid home directory: it is not absolute",
            ),
        ] {
            assert_eq!(items(text).expect_err(text).to_string(), expected);
        }
    }

    #[test]
    fn a_contradiction_is_ignored_and_reported() {
        let items = items("u a 5\nu a 6\ng b\ng b\n").expect("valid");
        assert_eq!(items.users.len(), 1);
        assert_eq!(
            items.conflicts,
            ["/usr/lib/sysusers.d/t.conf:2: user \"a\" contradicts /usr/lib/sysusers.d/t.conf:1 and is ignored"]
        );
    }

    proptest! {
        #[test]
        fn any_text_is_rejected_or_read(text in "([ugmr]!? )?\\PC{0,60}(\n[ugmr]!? [a-z\"]{1,4} \\PC{0,20}){0,3}") {
            let _ = items(&text);
        }
    }
}
