//! `%`-specifiers that have a value before a machine runs (sysusers.d(5)).

use std::collections::BTreeMap;

/// A specifier that cannot be expanded in an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecifierError {
    /// Its value is only known on a running machine.
    #[error("%{0} is only known on a running machine")]
    Runtime(char),
    /// systemd does not have this specifier.
    #[error("%{0} is not a specifier; a percent sign is written %%")]
    Unknown(char),
}

/// Expands `text`; `os_release` gives `%o %w %W %A %B %M`.
///
/// # Errors
/// [`SpecifierError`].
pub(super) fn expand(text: &str, os_release: &BTreeMap<String, String>) -> Result<String, SpecifierError> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let field = match chars.next() {
            // systemd keeps a single percent sign at the end.
            None | Some('%') => {
                out.push('%');
                continue;
            }
            Some('T') => {
                out.push_str("/tmp");
                continue;
            }
            Some('V') => {
                out.push_str("/var/tmp");
                continue;
            }
            Some('o') => "ID",
            Some('w') => "VERSION_ID",
            Some('W') => "VARIANT_ID",
            Some('A') => "IMAGE_VERSION",
            Some('B') => "BUILD_ID",
            Some('M') => "IMAGE_ID",
            Some(c @ ('a' | 'b' | 'H' | 'l' | 'q' | 'm' | 'v')) => return Err(SpecifierError::Runtime(c)),
            Some(c) => return Err(SpecifierError::Unknown(c)),
        };
        out.push_str(os_release.get(field).map_or("", String::as_str));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offline_specifiers_expand_and_others_are_rejected() {
        let os = BTreeMap::from([("ID".to_owned(), "debian".to_owned())]);
        assert_eq!(expand("a%%b-%o%w:%V", &os), Ok("a%b-debian:/var/tmp".into()));
        assert_eq!(expand("%m", &os), Err(SpecifierError::Runtime('m')));
        assert_eq!(expand("%Z", &os), Err(SpecifierError::Unknown('Z')));
        assert_eq!(expand("50%", &os), Ok("50%".into()));
    }
}
