//! systemd's word splitting (`extract_first_word`).

/// The meaning of a backslash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Backslash {
    /// It is dropped, and the next character is taken literally.
    Escapes,
    /// It is an ordinary character (`EXTRACT_RETAIN_ESCAPE`).
    Ordinary,
}

/// A quote is not closed, or nothing follows a backslash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum WordError {
    #[error("a quotation mark is not closed")]
    OpenQuote,
    #[error("nothing follows the backslash at the end")]
    TrailingBackslash,
}

/// Splits at white space; single and double quotes group and are removed (`EXTRACT_UNQUOTE`).
pub(super) fn words(text: &str, backslash: Backslash) -> Result<Vec<String>, WordError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', _) if backslash == Backslash::Escapes => {
                let next = chars.next().ok_or(WordError::TrailingBackslash)?;
                word.get_or_insert_default().push(next);
            }
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (' ' | '\t' | '\n' | '\r', None) => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(WordError::OpenQuote);
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_group_and_are_removed() {
        let split = |text| words(text, Backslash::Escapes).expect("well formed");
        assert_eq!(split("u  root 0\t\"Super User\" a\"b c\"d ''"), ["u", "root", "0", "Super User", "ab cd", ""]);
        assert_eq!(split(r#"a\ b "\"" "#), ["a b", "\""]);
        assert_eq!(words(r"a\x2db", Backslash::Ordinary).expect("well formed"), [r"a\x2db"]);
        assert_eq!(words("a 'b", Backslash::Escapes), Err(WordError::OpenQuote));
        assert_eq!(words("a\\", Backslash::Escapes), Err(WordError::TrailingBackslash));
    }
}
