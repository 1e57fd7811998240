//! The `[Install]` section of unit files and drop-ins, in the syntax of systemd.syntax(7).

use super::name::{self, Form};
use crate::words::{Backslash, words};

/// The settings of `[Install]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Install {
    pub aliases: Vec<String>,
    pub wanted_by: Vec<String>,
    pub required_by: Vec<String>,
    pub upheld_by: Vec<String>,
    pub also: Vec<String>,
    pub default_instance: Option<String>,
}

/// Returns the assignments of section `[Install]` in `text`, in order. Handles comments,
/// continuation lines and other sections; skips lines that systemd would warn about.
pub(super) fn assignments(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut in_install = false;
    let mut continued: Option<String> = None;
    for line in text.strip_prefix('\u{feff}').unwrap_or(text).lines() {
        if line.trim_start().starts_with(['#', ';']) {
            continue;
        }
        let mut whole = continued.take().unwrap_or_default();
        whole.push_str(line);
        let backslashes = whole.bytes().rev().take_while(|byte| *byte == b'\\').count();
        if backslashes % 2 == 1 {
            whole.pop();
            whole.push(' ');
            continued = Some(whole);
            continue;
        }
        let line = whole.trim();
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            in_install = section == "Install";
        } else if let (true, Some((key, value))) = (in_install, line.split_once('=')) {
            found.push((key.trim_end().to_owned(), value.trim_start().to_owned()));
        }
    }
    found
}

impl Install {
    /// Adds the settings of `text`, a file or drop-in of unit `unit`.
    pub(super) fn read(&mut self, unit: &str, text: &str) {
        for (key, value) in assignments(text) {
            match key.as_str() {
                "Alias" if name::may_alias(unit) => extend(&mut self.aliases, &value),
                "WantedBy" => extend(&mut self.wanted_by, &value),
                "RequiredBy" => extend(&mut self.required_by, &value),
                "UpheldBy" => extend(&mut self.upheld_by, &value),
                "Also" => self.also.extend(value.split_whitespace().map(str::to_owned)),
                "DefaultInstance" if name::form(unit) == Some(Form::Template) => {
                    self.default_instance = Some(value).filter(|instance| !instance.is_empty());
                }
                _ => {}
            }
        }
    }

    /// Whether enabling the unit does anything.
    pub(super) fn is_empty(&self) -> bool {
        let lists = [&self.aliases, &self.wanted_by, &self.required_by, &self.upheld_by, &self.also];
        lists.iter().all(|list| list.is_empty())
    }
}

/// Extends a list setting: an empty value resets it, others are appended; quotes group.
fn extend(list: &mut Vec<String>, value: &str) {
    if value.is_empty() {
        list.clear();
    }
    // systemd warns about a line with an unclosed quote and ignores it.
    list.extend(words(value, Backslash::Ordinary).unwrap_or_default());
}

/// Expands the specifiers of install_name_printf (`%i %j %n %N %p %%`) for unit `unit`. Returns
/// `None` if a specifier is unknown before the machine runs.
pub(super) fn expand(format: &str, unit: &str, default_instance: Option<&str>) -> Option<String> {
    let is_template = name::form(unit) == Some(Form::Template);
    let default_instance = default_instance.filter(|_| is_template);
    let mut out = String::with_capacity(format.len());
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let prefix = name::prefix(unit);
        match chars.next() {
            None | Some('%') => out.push('%'),
            Some('i') => out.push_str(default_instance.or_else(|| name::instance(unit)).unwrap_or_default()),
            Some('j') => out.push_str(prefix.rsplit('-').next().unwrap_or(prefix)),
            Some('p') => out.push_str(prefix),
            Some('n') => out.push_str(&default_instance.map_or(unit.to_owned(), |i| name::with_instance(unit, i))),
            Some('N') => {
                let full = default_instance.map_or(unit.to_owned(), |i| name::with_instance(unit, i));
                out.push_str(full.rsplit_once('.').map_or("", |(stem, _)| stem));
            }
            Some(_) => return None,
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn syntax_is_systemds() {
        let text = "\u{feff}[Unit]\nWantedBy=no.target\n[Install]\n# WantedBy=no.target\nWantedBy = a.target \\\n# inside\n  b.target\n\
                    RequiredBy=gone.target\nRequiredBy=\nRequiredBy=\"c.target\"\nAlias=x.service y.service\nAlso=z.socket\n\
                    DefaultInstance=tty1\n[X-Other]\nWantedBy=no.target\n";
        let mut install = Install::default();
        install.read("u@.service", text);
        assert_eq!(install.wanted_by, ["a.target", "b.target"]);
        assert_eq!(install.required_by, ["c.target"]);
        assert_eq!(install.aliases, ["x.service", "y.service"]);
        assert_eq!(install.also, ["z.socket"]);
        assert_eq!(install.default_instance.as_deref(), Some("tty1"));
        let mut plain = Install::default();
        plain.read("u.mount", text);
        assert!(plain.aliases.is_empty() && plain.default_instance.is_none());
    }

    #[test]
    fn specifiers_expand() {
        let expand = |format, unit, instance| super::expand(format, unit, instance).expect("known");
        assert_eq!(expand("%p-%i.target", "a-b@c.service", None), "a-b-c.target");
        assert_eq!(expand("%n|%N|%j|%%", "a-b@.service", Some("d")), "a-b@d.service|a-b@d|b|%");
        assert_eq!(super::expand("%H.target", "a.service", None), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(\\[Install\\]\n)?(\\PC{0,40}\\\\?\n){0,5}") {
            Install::default().read("a@.service", &text);
        }
    }
}
