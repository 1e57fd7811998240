//! PEM (RFC 7468): the text between `-----BEGIN X-----` and `-----END X-----`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

/// Label of a certificate.
pub const CERTIFICATE: &str = "CERTIFICATE";
/// Label of a request for one (PKCS #10).
pub const CERTIFICATE_REQUEST: &str = "CERTIFICATE REQUEST";
/// Label of a private key (PKCS #8).
pub const PRIVATE_KEY: &str = "PRIVATE KEY";

/// Label of a private key on an elliptic curve (RFC 5915).
pub const EC_PRIVATE_KEY: &str = "EC PRIVATE KEY";

/// The columns of base64, as in all tools.
const WIDTH: usize = 64;

/// `der` in PEM.
pub fn encode(label: &str, der: &[u8]) -> Zeroizing<String> {
    let text = Zeroizing::new(STANDARD.encode(der));
    // Allocated at its final size, so that growing leaves no copy of a key behind.
    let mut pem = Zeroizing::new(String::with_capacity(text.len() + text.len() / WIDTH + 2 * label.len() + 40));
    pem.push_str(&format!("-----BEGIN {label}-----\n"));
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(WIDTH));
        pem.push_str(line);
        pem.push('\n');
        rest = more;
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}

/// The contents of all sections labelled `label`, in order; `None` if a section is damaged or does
/// not end. Text between sections is ignored.
pub fn decode(label: &str, text: &str) -> Option<Vec<Zeroizing<Vec<u8>>>> {
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let mut found = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if line != begin {
            continue;
        }
        let mut base64 = Zeroizing::new(String::with_capacity(text.len()));
        loop {
            match lines.next()? {
                line if line == end => break,
                line => base64.push_str(line),
            }
        }
        found.push(Zeroizing::new(STANDARD.decode(base64.as_bytes()).ok()?));
    }
    Some(found)
}

/// The certificates in `text`: at least one.
pub fn certificates(text: &str) -> Option<Vec<CertificateDer<'static>>> {
    let ders = decode(CERTIFICATE, text)?;
    let certificates: Vec<_> = ders.iter().map(|der| CertificateDer::from(der.to_vec())).collect();
    (!certificates.is_empty()).then_some(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn damaged_sections() {
        let pem = encode(CERTIFICATE, &[7; 100]);
        assert_eq!(pem.lines().map(str::len).max(), Some(WIDTH));
        for end in 0..pem.len() - 1 {
            let found = decode(CERTIFICATE, &pem[..end]);
            assert!(found.is_none_or(|found| found.is_empty()), "cut at {end}");
        }
        assert_eq!(certificates("none"), None);
        assert_eq!(decode(PRIVATE_KEY, &pem).map(|found| found.len()), Some(0));
    }

    proptest! {
        #[test]
        fn encoded_sections_are_decoded(ders in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..4)) {
            let text: String = ders.iter().map(|der| format!("x\n{}", *encode(CERTIFICATE, der))).collect();
            let found = decode(CERTIFICATE, &text).expect("sound");
            prop_assert_eq!(found.iter().map(|der| der.to_vec()).collect::<Vec<_>>(), ders);
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,100}", near in "(-----(BEGIN|END) CERTIFICATE-----\n|[A-Za-z+/=\n]{0,10}){0,6}") {
            let _ = decode(CERTIFICATE, &text);
            let _ = decode(CERTIFICATE, &near);
        }
    }
}
