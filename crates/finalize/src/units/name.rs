//! Unit names (`unit-name.c`): `prefix.type`, `prefix@.type` (a template), `prefix@instance.type`.

/// The three forms of a unit name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Plain,
    Template,
    Instance,
}

const TYPES: [&str; 11] =
    ["service", "socket", "target", "device", "mount", "automount", "swap", "timer", "path", "slice", "scope"];
const MAX_NAME: usize = 255;

/// Returns the form of `name`, or `None` if it is not a unit name.
pub(super) fn form(name: &str) -> Option<Form> {
    let (stem, unit_type) = name.rsplit_once('.')?;
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '.' | '\\' | '@');
    if stem.is_empty() || name.len() > MAX_NAME || !TYPES.contains(&unit_type) || !stem.chars().all(valid) {
        return None;
    }
    match stem.split_once('@') {
        None => Some(Form::Plain),
        Some(("", _)) => None,
        Some((_, "")) => Some(Form::Template),
        Some(_) => Some(Form::Instance),
    }
}

/// Returns the part after the last dot.
pub(super) fn unit_type(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, unit_type)| unit_type)
}

/// Whether units of this name's type may have other names (`unit_type_may_alias`).
pub(super) fn may_alias(name: &str) -> bool {
    matches!(unit_type(name), "service" | "socket" | "target" | "device" | "timer" | "path")
}

/// Returns the template of an instance (`getty@tty1.service` → `getty@.service`).
pub(super) fn template(name: &str) -> Option<String> {
    let (stem, unit_type) = name.rsplit_once('.')?;
    let (prefix, _) = stem.split_once('@')?;
    Some(format!("{prefix}@.{unit_type}"))
}

/// Returns the instance of a name; empty for a template, `None` for a plain name.
pub(super) fn instance(name: &str) -> Option<&str> {
    Some(name.rsplit_once('.')?.0.split_once('@')?.1)
}

/// Inserts `instance` into `template`; returns a plain name as it is.
pub(super) fn with_instance(template: &str, instance: &str) -> String {
    match template.rsplit_once('.').and_then(|(stem, unit_type)| Some((stem.split_once('@')?.0, unit_type))) {
        Some((prefix, unit_type)) => format!("{prefix}@{instance}.{unit_type}"),
        None => template.to_owned(),
    }
}

/// Returns the name before `@` or the type.
pub(super) fn prefix(name: &str) -> &str {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    stem.split_once('@').map_or(stem, |(prefix, _)| prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_names_are_distinguished() {
        for (name, expected) in [
            ("a.service", Some(Form::Plain)),
            ("a@.service", Some(Form::Template)),
            ("a@b@c.service", Some(Form::Instance)),
            (r"dev-disk-by\x2did.device", Some(Form::Plain)),
            ("@x.service", None),
            (".service", None),
            ("a.conf", None),
            ("a b.service", None),
            ("a/b.service", None),
        ] {
            assert_eq!(form(name), expected, "{name}");
        }
        assert_eq!(template("getty@tty1.service").as_deref(), Some("getty@.service"));
        assert_eq!(instance("getty@tty1.service"), Some("tty1"));
        assert_eq!(with_instance("getty@.service", "tty2"), "getty@tty2.service");
        assert_eq!(prefix("getty@tty1.service"), "getty");
    }
}
