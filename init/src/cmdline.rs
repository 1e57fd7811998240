//! The kernel command line, as /proc/cmdline has it.

/// The value of the last `name=value` in `cmdline`; double quotes around a value, or around the whole word, are taken off.
///
/// As the kernel reads it (lib/cmdline.c): words are separated by blanks outside double quotes.
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
    fn the_last_value_counts() {
        let cmdline = "BOOT_IMAGE=/vmlinuz panic=10 roothash=ab  quiet panic=-1\n";
        assert_eq!(value(cmdline, "panic"), Some("-1"));
        assert_eq!(value(cmdline, "roothash"), Some("ab"));
        assert_eq!(value(cmdline, "quiet"), None);
        assert_eq!(value(cmdline, "root"), None);
    }

    #[test]
    fn quotes_hold_words_together() {
        assert_eq!(value("a=\"x roothash=evil\" b=1", "roothash"), None);
        assert_eq!(value("a=\"x y\" b=1", "a"), Some("x y"));
        assert_eq!(value("\"a=x y\" b=1", "a"), Some("x y"));
        assert_eq!(value("a=", "a"), Some(""));
        assert_eq!(value("", "a"), None);
    }
}
