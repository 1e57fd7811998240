//! The part of DER that is needed to find and canonicalize a certificate's subject.
//!
//! This is written by hand rather than taken from an X.509 crate: six nested headers are read,
//! nothing is verified, and no crate has OpenSSL's canonical name encoding (`x509_name_canon` in
//! its `x_name.c`).

/// Why bytes are not a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DerError {
    /// A length reaches past the end.
    #[error("it is truncated")]
    Truncated,
    /// A length or tag is not valid in DER.
    #[error("a DER header is malformed")]
    Header,
    /// The element has another type than X.509 requires.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// Text in a name is invalid in its declared encoding.
    #[error("its subject has text in an invalid encoding")]
    Text,
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const T61_STRING: u8 = 0x14;
const IA5_STRING: u8 = 0x16;
const VISIBLE_STRING: u8 = 0x1a;
const UNIVERSAL_STRING: u8 = 0x1c;
const BMP_STRING: u8 = 0x1e;

/// One element: its tag, its content, and what follows it.
struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    rest: &'a [u8],
}

fn element(bytes: &[u8]) -> Result<Element<'_>, DerError> {
    let (&tag, rest) = bytes.split_first().ok_or(DerError::Truncated)?;
    let (&first, rest) = rest.split_first().ok_or(DerError::Truncated)?;
    if tag & 0x1f == 0x1f {
        return Err(DerError::Header);
    }
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f)).ok_or(DerError::Truncated)?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return Err(DerError::Header),
    };
    let (content, rest) = rest.split_at_checked(length).ok_or(DerError::Truncated)?;
    Ok(Element { tag, content, rest })
}

fn expect<'a>(bytes: &'a [u8], tag: u8, what: &'static str) -> Result<Element<'a>, DerError> {
    let found = element(bytes)?;
    if found.tag == tag { Ok(found) } else { Err(DerError::Missing(what)) }
}

fn encode(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(content.len()) {
        Ok(length) if length < 0x80 => out.push(length),
        _ => {
            let length = content.len().to_be_bytes();
            let digits = &length[length.iter().take_while(|digit| **digit == 0).count()..];
            // A usize has at most eight bytes.
            out.push(0x80 | u8::try_from(digits.len()).unwrap_or(8));
            out.extend_from_slice(digits);
        }
    }
    out.extend_from_slice(content);
    out
}

/// Returns the content of the subject's `Name` in the DER certificate `bytes`.
pub(super) fn subject(bytes: &[u8]) -> Result<&[u8], DerError> {
    let certificate = expect(bytes, SEQUENCE, "the certificate")?.content;
    let mut at = expect(certificate, SEQUENCE, "the signed part")?.content;
    if at.first() == Some(&VERSION) {
        at = element(at)?.rest;
    }
    at = expect(at, INTEGER, "the serial number")?.rest;
    at = expect(at, SEQUENCE, "the signature algorithm")?.rest;
    at = expect(at, SEQUENCE, "the issuer")?.rest;
    at = expect(at, SEQUENCE, "the validity")?.rest;
    Ok(expect(at, SEQUENCE, "the subject")?.content)
}

/// Returns OpenSSL's canonical encoding of a name: RDNs without the outer header, text as UTF-8 in
/// lower case (ASCII), trimmed, with each run of white space replaced by one blank.
pub(super) fn canonical(name: &[u8]) -> Result<Vec<u8>, DerError> {
    let mut out = Vec::with_capacity(name.len());
    let mut at = name;
    while !at.is_empty() {
        let set = expect(at, SET, "a part of the subject")?;
        at = set.rest;
        let mut attributes = Vec::new();
        let mut members = set.content;
        while !members.is_empty() {
            let attribute = expect(members, SEQUENCE, "an attribute of the subject")?;
            members = attribute.rest;
            attributes.push(canonical_attribute(attribute.content)?);
        }
        attributes.sort();
        out.extend(encode(SET, &attributes.concat()));
    }
    Ok(out)
}

fn canonical_attribute(bytes: &[u8]) -> Result<Vec<u8>, DerError> {
    let kind = expect(bytes, OBJECT_IDENTIFIER, "an attribute's type")?;
    let value = element(kind.rest)?;
    let mut content = encode(OBJECT_IDENTIFIER, kind.content);
    match text(value.tag, value.content)? {
        Some(text) => content.extend(encode(UTF8_STRING, &canonical_text(&text))),
        None => content.extend(encode(value.tag, value.content)),
    }
    Ok(encode(SEQUENCE, &content))
}

/// Returns the value as text if its string type is canonicalized.
fn text(tag: u8, bytes: &[u8]) -> Result<Option<String>, DerError> {
    let wide = |width: usize| {
        let chunks = bytes.chunks_exact(width);
        if !chunks.remainder().is_empty() {
            return Err(DerError::Text);
        }
        let number = |chunk: &[u8]| chunk.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
        chunks.map(|chunk| char::from_u32(number(chunk)).ok_or(DerError::Text)).collect()
    };
    match tag {
        UTF8_STRING => std::str::from_utf8(bytes).map(|text| Some(text.to_owned())).map_err(|_| DerError::Text),
        PRINTABLE_STRING | T61_STRING | IA5_STRING | VISIBLE_STRING => {
            Ok(Some(bytes.iter().map(|byte| char::from(*byte)).collect()))
        }
        BMP_STRING => wide(2).map(Some),
        UNIVERSAL_STRING => wide(4).map(Some),
        _ => Ok(None),
    }
}

fn canonical_text(text: &str) -> Vec<u8> {
    // C's isspace, which unlike is_ascii_whitespace includes the vertical tab.
    let is_space = |c: char| matches!(c, ' ' | '\t'..='\r');
    let mut out = String::with_capacity(text.len());
    for word in text.split(is_space).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(&word.to_ascii_lowercase());
    }
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_is_folded_as_openssl_does() {
        assert_eq!(canonical_text("  Ábc \t\x0b DEF  "), "Ábc def".as_bytes());
        assert_eq!(text(BMP_STRING, &[0, b'A', 1, 0x51]), Ok(Some("Aő".into())));
        assert_eq!(text(BMP_STRING, &[0]), Err(DerError::Text));
        assert_eq!(text(UTF8_STRING, &[0xff]), Err(DerError::Text));
    }

    #[test]
    fn lengths_are_encoded_as_der() {
        assert_eq!(encode(0x30, &[0; 3])[..2], [0x30, 3]);
        assert_eq!(encode(0x30, &[0; 200])[..3], [0x30, 0x81, 200]);
        assert_eq!(encode(0x30, &[0; 300])[..4], [0x30, 0x82, 1, 44]);
        assert_eq!(element(&encode(0x30, &[7; 300])).map(|element| element.content.len()), Ok(300));
        assert_eq!(element(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]).err(), Some(DerError::Truncated));
        assert_eq!(element(&[0x30, 0x80]).err(), Some(DerError::Header));
    }

    proptest! {
        #[test]
        fn any_bytes_are_rejected_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = subject(&bytes).and_then(canonical);
            let _ = canonical(&bytes);
        }
    }
}
