//! The cleartext signature framework of RFC 9580, section 7, limited to the subset that an
//! `InRelease` uses.
//!
//! The parser is stricter than the RFC, because every freedom of this format has been used in
//! attacks that show a reader something other than the signed text: no text is allowed before or
//! after the message, `Hash` is the only header, a carriage return may only end a line, and a line
//! of the text that starts with a dash must be escaped.

/// The most bytes of a whole message (Debian's largest, unstable's, is under 300 kB).
pub const MAX_MESSAGE_BYTES: usize = 32 << 20;
/// The most bytes of its signature block.
pub const MAX_SIGNATURE_BYTES: usize = 64 << 10;

const BEGIN_MESSAGE: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const BEGIN_SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";
const END_SIGNATURE: &str = "-----END PGP SIGNATURE-----";

/// The message is not exactly one cleartext-signed text.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("line {line}: {problem}")]
pub struct CleartextError {
    /// Line of the message, counted from 1.
    pub line: usize,
    /// The defect.
    pub problem: CleartextProblem,
}

/// The defect of a line of a message.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum CleartextProblem {
    /// The message does not start with its first line.
    #[error("text before \"{BEGIN_MESSAGE}\", which no signature covers")]
    NotSigned,
    /// More than [`MAX_MESSAGE_BYTES`].
    #[error("the message is larger than {MAX_MESSAGE_BYTES} bytes")]
    TooLarge,
    /// Debian's metadata is UTF-8.
    #[error("the message is not UTF-8")]
    NotUtf8,
    /// A carriage return that does not end a line.
    #[error("a carriage return within the line")]
    CarriageReturn,
    /// A header other than `Hash`.
    #[error("the header {0:?} is not \"Hash: …\"")]
    Header(String),
    /// A dash that is not escaped, and does not start the signature.
    #[error("the line starts with a dash that is not escaped")]
    Dash,
    /// The message ends before its signature does.
    #[error("the message ends before \"{0}\": it was cut short")]
    Ended(&'static str),
    /// More than [`MAX_SIGNATURE_BYTES`].
    #[error("the signature block is larger than {MAX_SIGNATURE_BYTES} bytes")]
    SignatureTooLarge,
    /// Something follows the message.
    #[error("text after \"{END_SIGNATURE}\", which no signature covers")]
    Trailing,
}

/// A parsed message. Nothing in it is verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cleartext<'a> {
    /// The signed text: dash-escapes are undone, blanks at line ends (which a signature does not
    /// cover) are removed, and every line ends with `\n`, including the last one.
    pub text: String,
    /// The armored signature block, from its first to its last line.
    pub signature: &'a str,
    /// The hash algorithms that the header names, as written.
    pub hashes: Vec<&'a str>,
}

impl Cleartext<'_> {
    /// The bytes that the signature covers: `\r\n` line ends, none after the last line.
    pub fn signed_bytes(&self) -> Vec<u8> {
        self.text.strip_suffix('\n').unwrap_or(&self.text).replace('\n', "\r\n").into_bytes()
    }
}

/// Parses a message.
///
/// # Errors
/// The message is not exactly one cleartext-signed text.
pub fn split(message: &[u8]) -> Result<Cleartext<'_>, CleartextError> {
    if message.len() > MAX_MESSAGE_BYTES {
        return Err(CleartextError { line: 1, problem: CleartextProblem::TooLarge });
    }
    let message = std::str::from_utf8(message).map_err(|error| {
        let line = 1 + message[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        CleartextError { line, problem: CleartextProblem::NotUtf8 }
    })?;
    let mut lines = Lines { rest: message, number: 0 };
    if lines.next()? != Some(BEGIN_MESSAGE) {
        return Err(CleartextError { line: 1, problem: CleartextProblem::NotSigned });
    }
    let hashes = read_headers(&mut lines)?;
    let (text, start) = read_text(&mut lines, message)?;
    let end = read_to_end_of_signature(&mut lines, message, start)?;
    while let Some(line) = lines.next()? {
        if !line.trim_ascii().is_empty() {
            return Err(lines.error(CleartextProblem::Trailing));
        }
    }
    Ok(Cleartext { text, signature: &message[start..end], hashes })
}

/// The armor headers up to and including the empty line.
fn read_headers<'a>(lines: &mut Lines<'a>) -> Result<Vec<&'a str>, CleartextError> {
    let mut hashes = Vec::new();
    loop {
        match lines.next()? {
            None => return Err(lines.error(CleartextProblem::Ended(BEGIN_SIGNATURE))),
            Some("") => return Ok(hashes),
            Some(line) => match line.strip_prefix("Hash: ") {
                Some(names) => hashes.extend(names.split(',').map(str::trim_ascii)),
                None => return Err(lines.error(CleartextProblem::Header(line.chars().take(60).collect()))),
            },
        }
    }
}

/// Reads the text; returns it with the offset of the signature block in the message.
fn read_text(lines: &mut Lines<'_>, message: &str) -> Result<(String, usize), CleartextError> {
    let mut text = String::with_capacity(lines.rest.len());
    loop {
        let start = message.len() - lines.rest.len();
        match lines.next()? {
            None => return Err(lines.error(CleartextProblem::Ended(BEGIN_SIGNATURE))),
            Some(BEGIN_SIGNATURE) => return Ok((text, start)),
            Some(line) => {
                let unescaped = match line.strip_prefix('-') {
                    None => line,
                    Some(escaped) => escaped.strip_prefix(' ').ok_or_else(|| lines.error(CleartextProblem::Dash))?,
                };
                text.push_str(unescaped.trim_end_matches([' ', '\t']));
                text.push('\n');
            }
        }
    }
}

/// Returns the end of the signature block that starts at `start`.
fn read_to_end_of_signature(lines: &mut Lines<'_>, message: &str, start: usize) -> Result<usize, CleartextError> {
    loop {
        let line = lines.next()?;
        let end = message.len() - lines.rest.len();
        if end - start > MAX_SIGNATURE_BYTES {
            return Err(lines.error(CleartextProblem::SignatureTooLarge));
        }
        match line {
            None => return Err(lines.error(CleartextProblem::Ended(END_SIGNATURE))),
            Some(END_SIGNATURE) => return Ok(end),
            Some(_) => {}
        }
    }
}

/// Lines without their line ends, which may be `\n` or `\r\n`.
struct Lines<'a> {
    rest: &'a str,
    number: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Result<Option<&'a str>, CleartextError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
        self.rest = rest;
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.contains('\r') { Err(self.error(CleartextProblem::CarriageReturn)) } else { Ok(Some(line)) }
    }

    fn error(&self, problem: CleartextProblem) -> CleartextError {
        CleartextError { line: self.number, problem }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MESSAGE: &str = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256, SHA512\n\nOrigin: x \t\n- - dashed\n- -----BEGIN PGP \
                           SIGNATURE-----\n\nlast\n-----BEGIN PGP SIGNATURE-----\n\nabcd\n-----END PGP SIGNATURE-----\n";

    fn problem(message: &str) -> String {
        split(message.as_bytes()).expect_err("refused").to_string()
    }

    #[test]
    fn a_message_is_parsed() {
        let cleartext = split(MESSAGE.as_bytes()).expect("well-formed");
        assert_eq!(cleartext.text, "Origin: x\n- dashed\n-----BEGIN PGP SIGNATURE-----\n\nlast\n");
        assert_eq!(cleartext.signed_bytes(), b"Origin: x\r\n- dashed\r\n-----BEGIN PGP SIGNATURE-----\r\n\r\nlast");
        assert_eq!(cleartext.signature, "-----BEGIN PGP SIGNATURE-----\n\nabcd\n-----END PGP SIGNATURE-----\n");
        assert_eq!(cleartext.hashes, ["SHA256", "SHA512"]);
        let crlf = MESSAGE.replace('\n', "\r\n");
        assert_eq!(split(crlf.as_bytes()).expect("CRLF").text, cleartext.text);
    }

    #[test]
    fn text_around_the_message_and_ambiguous_lines_are_rejected() {
        assert!(problem(&format!("Origin: evil\n{MESSAGE}")).starts_with("line 1: text before"));
        assert!(problem(&format!("\n{MESSAGE}")).starts_with("line 1: text before"));
        assert!(problem("").starts_with("line 1: text before"));
        assert!(problem(&format!("{MESSAGE}Origin: evil\n")).starts_with("line 13: text after"));
        assert!(problem(&format!("{MESSAGE}{MESSAGE}")).starts_with("line 13: text after"));
        assert_eq!(
            problem(&MESSAGE.replace("Hash: SHA256, SHA512", "NotDashEscaped: yes")),
            "line 2: the header \"NotDashEscaped: yes\" is not \"Hash: …\""
        );
        assert_eq!(problem(&MESSAGE.replace("512\n\n", "512\n \n")), "line 3: the header \" \" is not \"Hash: …\"");
        assert_eq!(
            problem(&MESSAGE.replace("- - dashed", "-dashed")),
            "line 5: the line starts with a dash that is not escaped"
        );
        assert_eq!(problem(&MESSAGE.replace("x \t", "x\rSuite: y")), "line 4: a carriage return within the line");
        let cut = MESSAGE.find("-----END").expect("there");
        assert!(problem(&MESSAGE[..cut]).contains("cut short"));
        assert!(problem("-----BEGIN PGP SIGNED MESSAGE-----\n\nx\n").contains("cut short"));
        assert!(problem("-----BEGIN PGP SIGNED MESSAGE-----\n").contains("cut short"));
        let large = MESSAGE.replace("abcd", &"abcd\n".repeat(MAX_SIGNATURE_BYTES / 4));
        assert!(problem(&large).contains("signature block is larger"));
        let mut binary = MESSAGE.as_bytes().to_vec();
        binary[60] = 0xff;
        assert_eq!(split(&binary).expect_err("refused").to_string(), "line 4: the message is not UTF-8");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(split(&bytes).is_err());
        }

        #[test]
        fn mutated_messages_never_panic(at in 0..MESSAGE.len(), with in proptest::collection::vec(any::<u8>(), 0..5), remove in 0usize..20) {
            let mut bytes = MESSAGE.as_bytes().to_vec();
            bytes.splice(at..(at + remove).min(MESSAGE.len()), with);
            if let Ok(cleartext) = split(&bytes) {
                prop_assert!(!cleartext.text.contains('\r'));
                prop_assert!(cleartext.signature.starts_with(BEGIN_SIGNATURE));
            }
        }

        #[test]
        fn any_text_survives_escaping(lines in proptest::collection::vec("[ -~]{0,20}", 0..8)) {
            let escaped: String = lines
                .iter()
                .map(|line| if line.starts_with('-') { format!("- {line}\n") } else { format!("{line}\n") })
                .collect();
            let message = format!("{BEGIN_MESSAGE}\nHash: SHA512\n\n{escaped}{BEGIN_SIGNATURE}\n\nabcd\n{END_SIGNATURE}\n");
            let expected: String = lines.iter().map(|line| format!("{}\n", line.trim_end())).collect();
            prop_assert_eq!(split(message.as_bytes()).expect("well-formed").text, expected);
        }
    }
}
