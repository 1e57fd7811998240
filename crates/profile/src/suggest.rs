//! The nearest valid name.

/// Names less alike than this are no help.
const ALIKE: f64 = 0.6;
/// More names than this are not listed.
const MAX_LISTED: usize = 40;

/// The name among `valid` that `wrong` most probably stands for.
pub(super) fn nearest<'a>(wrong: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = normal(wrong);
    valid
        .into_iter()
        .map(|name| (strsim::normalized_damerau_levenshtein(&wrong, &normal(name)), name))
        .map(
            |(alike, name)| {
                if normal(name).starts_with(&wrong) && wrong.len() > 2 { (alike + 0.5, name) } else { (alike, name) }
            },
        )
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// Case and separators are what people mistake first (`modules-load`, `modules_load`).
fn normal(name: &str) -> String {
    name.chars().take(80).filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

/// ` (did you mean "x"?)`, or else the list of valid names.
pub(super) fn hint(wrong: &str, valid: &[&str]) -> String {
    match nearest(wrong, valid.iter().copied()) {
        Some(name) => format!(", did you mean {name:?}?"),
        None if valid.is_empty() => String::new(),
        None if valid.len() > MAX_LISTED => format!(" (valid are {}, …)", valid[..MAX_LISTED].join(", ")),
        None => format!(" (valid {} {})", if valid.len() == 1 { "is" } else { "are" }, valid.join(", ")),
    }
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
}
