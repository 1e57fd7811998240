//! The valid name that a wrong one probably stands for: one measure for all messages that ask "did
//! you mean".

/// Names less alike than this do not help.
const ALIKE: f64 = 0.65;
/// What it adds when a name goes on where the wrong one ends.
const BEGINS: f64 = 0.5;
/// More names than this are not listed.
const MAX_LISTED: usize = 40;
/// Of a longer name only the beginning is compared, in characters.
const MAX_LENGTH: usize = 256;

/// The name among `valid` that `wrong` most probably stands for.
pub fn nearest<'a>(wrong: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    near(wrong, valid).into_iter().next()
}

/// The names among `valid` that `wrong` may stand for, the most probable first; of equal ones the
/// first in the alphabet.
pub fn near<'a>(wrong: &str, valid: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let wrong = Name::new(wrong);
    let scored = valid.into_iter().map(|name| (wrong.likeness(name, ALIKE), name));
    let mut scored: Vec<_> = scored.filter(|(alike, _)| *alike >= ALIKE).collect();
    scored.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(other.1)));
    scored.into_iter().map(|(_, name)| name).collect()
}

/// The name among `valid` that is most like `wrong`, however little that is; nothing if there is no
/// name at all.
pub fn most_alike<'a>(wrong: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = Name::new(wrong);
    let scored = valid.into_iter().map(|name| (wrong.likeness(name, 0.0), name));
    scored.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, name)| name)
}

/// `, did you mean "x"?`, or else the list of valid names in parentheses.
pub fn hint(wrong: &str, valid: &[&str]) -> String {
    match nearest(wrong, valid.iter().copied()) {
        Some(name) => format!(", did you mean {name:?}?"),
        None if valid.is_empty() => String::new(),
        None if valid.len() > MAX_LISTED => format!(" (valid are {}, …)", valid[..MAX_LISTED].join(", ")),
        None => format!(" (valid {} {})", if valid.len() == 1 { "is" } else { "are" }, valid.join(", ")),
    }
}

/// A name as it is compared.
struct Name<'a> {
    written: &'a str,
    normal: String,
}

impl<'a> Name<'a> {
    fn new(written: &'a str) -> Self {
        Self { written, normal: normal(written) }
    }

    /// How alike the two are: from 0 to 1, and more where `name` goes on where this one ends. Less
    /// than `least` is not measured exactly.
    fn likeness(&self, name: &str, least: f64) -> f64 {
        // An ending that both have says nothing: most units end in ".service".
        let (wrong, name) = match (self.written.rsplit_once('.'), name.rsplit_once('.')) {
            (Some((wrong, end)), Some((stem, other))) if end == other => (&normal(wrong), normal(stem)),
            _ => (&self.normal, normal(name)),
        };
        let bonus = if wrong.len() > 2 && name.starts_with(wrong.as_str()) { BEGINS } else { 0.0 };
        // Each character that one has more is at least one edit.
        let (short, long) = (wrong.len().min(name.len()), wrong.len().max(name.len()));
        let most = bonus + ratio(short, long);
        if most < least { most } else { bonus + strsim::normalized_damerau_levenshtein(wrong, &name) }
    }
}

/// `short` of `long`. In bytes, which for names of other than ASCII is a guess.
fn ratio(short: usize, long: usize) -> f64 {
    let number = |length: usize| u32::try_from(length).map_or(f64::INFINITY, f64::from);
    if long == 0 { 1.0 } else { number(short) / number(long) }
}

/// Case and separators are what people mistake first (`modules-load`, `modules_load`).
fn normal(name: &str) -> String {
    name.chars().take(MAX_LENGTH).filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_whatever_their_spelling() {
        let valid = ["kubelet", "kernel", "securityMirrors", "snapshot", "sysctls"];
        assert_eq!(nearest("kublet", valid), Some("kubelet"));
        assert_eq!(nearest("security_mirrors", valid), Some("securityMirrors"));
        assert_eq!(nearest("sysctl", valid), Some("sysctls"));
        assert_eq!(nearest("zzz", valid), None);
        assert_eq!(hint("zzz", &["a", "b"]), " (valid are a, b)");
    }

    #[test]
    fn one_letter_of_three_may_be_wrong() {
        assert_eq!(nearest("pex", ["pxe", "disk"]), Some("pxe"));
        assert_eq!(nearest("2MB", ["2Mi", "1Gi"]), Some("2Mi"));
        assert_eq!(nearest("on-fail", ["on-failure", "on-watchdog"]), Some("on-failure"));
        assert_eq!(near("contanerd", ["runc", "containers", "containerd"]), ["containerd", "containers"]);
    }

    #[test]
    fn an_ending_that_both_have_does_not_count() {
        assert_eq!(nearest("foo.service", ["dbus.service", "getty.service"]), None);
        assert_eq!(nearest("multi-usr.target", ["multi-user.target", "halt.target"]), Some("multi-user.target"));
        assert_eq!(nearest("a.servce", ["b.socket", "a.service"]), Some("a.service"));
    }

    #[test]
    fn something_is_always_most_alike() {
        assert_eq!(most_alike("etc/hostnam", ["usr/bin/env", "etc/hostname"]), Some("etc/hostname"));
        assert_eq!(most_alike("", ["a"]), Some("a"));
        assert_eq!(most_alike("a", []), None);
    }
}
