//! Parses the kernel command line in /proc/cmdline.

/// The value of the last `name=value` in `cmdline`; removes double quotes around the value or
/// around the whole word.
///
/// Follows the kernel's rules (lib/cmdline.c): words are separated by blanks outside double quotes.
pub fn value<'a>(cmdline: &'a str, name: &str) -> Option<&'a str> {
    words(cmdline).filter_map(|word| word.trim_matches('"').strip_prefix(name)?.strip_prefix('=')).last().map(unquoted)
}

fn words(cmdline: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    cmdline
        .split(move |c: char| {
            quoted ^= c == '"';
            !quoted && c.is_ascii_whitespace()
        })
        .filter(|word| !word.is_empty())
}

fn unquoted(value: &str) -> &str {
    value.trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn the_last_value_wins() {
        let cmdline = "BOOT_IMAGE=/vmlinuz panic=10 roothash=ab  quiet panic=-1\n";
        assert_eq!(value(cmdline, "panic"), Some("-1"));
        assert_eq!(value(cmdline, "roothash"), Some("ab"));
        assert_eq!(value(cmdline, "quiet"), None);
        assert_eq!(value(cmdline, "root"), None);
    }

    #[test]
    fn quotes_join_words() {
        assert_eq!(value("a=\"x roothash=evil\" b=1", "roothash"), None);
        assert_eq!(value("a=\"x y\" b=1", "a"), Some("x y"));
        assert_eq!(value("\"a=x y\" b=1", "a"), Some("x y"));
        assert_eq!(value("a=", "a"), Some(""));
        assert_eq!(value("", "a"), None);
    }
}
