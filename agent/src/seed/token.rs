//! Bootstrap tokens: `id.secret`. Only the id is public.

use std::fmt;
use zeroize::Zeroizing;

const ID: usize = 6;
const SECRET: usize = 16;

/// Why a string is not a token. The error does not contain the string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a bootstrap token: 6 and 16 lower-case letters and digits with a dot between, as \"kubeadm token create\" prints them"
)]
pub struct TokenError;

/// A bootstrap token. It is wiped from memory when dropped, and never printed completely.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    text: Zeroizing<String>,
}

impl Token {
    /// Reads `[a-z0-9]{6}.[a-z0-9]{16}`.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let is_word = |word: &str, length| {
            word.len() == length && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        match text.split_once('.') {
            Some((id, secret)) if is_word(id, ID) && is_word(secret, SECRET) => {
                Ok(Self { text: Zeroizing::new(text.to_owned()) })
            }
            _ => Err(TokenError),
        }
    }

    /// The public half.
    pub fn id(&self) -> &str {
        self.text.split_at(ID).0
    }

    /// The secret half.
    pub fn secret(&self) -> &str {
        self.text.split_at(ID + 1).1
    }

    /// Both halves, as a bearer token.
    pub fn reveal(&self) -> &str {
        &self.text
    }
}

/// Returns `text` without the secret of anything that looks like a token: a misplaced quote can
/// make a token part of another field, and errors quote fields.
pub(super) fn mask(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('.') {
        let is_word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let id = before.bytes().rev().take(ID).filter(is_word).count();
        let secret = after.bytes().take(SECRET).filter(is_word).count();
        masked.push_str(before);
        masked.push('.');
        rest = after;
        if (id, secret) == (ID, SECRET) {
            masked.push('…');
            rest = &after[SECRET..];
        }
    }
    masked + rest
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}.…)", self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_elsewhere_are_masked() {
        for (text, masked) in [
            ("", ""),
            ("10.0.0.1: node-1.example.org", "10.0.0.1: node-1.example.org"),
            ("\"a\\ntoken: abcdef.0123456789abcdef\" is no", "\"a\\ntoken: abcdef.…\" is no"),
            ("xabcdef.0123456789abcdefy.", "xabcdef.…y."),
            ("ä.abcdef.0123456789abcdéf", "ä.abcdef.0123456789abcdéf"),
        ] {
            assert_eq!(mask(text), masked);
        }
    }

    #[test]
    fn tokens() {
        let token = Token::parse("abcdef.0123456789abcdef").expect("a token");
        assert_eq!((token.id(), token.secret()), ("abcdef", "0123456789abcdef"));
        assert_eq!(format!("{token:?}"), "Token(abcdef.…)");
        for bad in [
            "",
            "abcdef",
            "abcde.0123456789abcdef",
            "abcdef.0123456789abcde",
            "Abcdef.0123456789abcdef",
            "abcdef-0123456789abcdef",
            "abcdef.0123456789abcdef ",
        ] {
            assert_eq!(Token::parse(bad), Err(TokenError), "{bad}");
        }
    }
}
