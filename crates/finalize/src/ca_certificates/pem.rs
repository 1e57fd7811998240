//! Certificates in PEM files, parsed as leniently as OpenSSL does.

use base64::Engine as _;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};

/// Why a file has no readable certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// It has no `-----BEGIN CERTIFICATE-----`.
    #[error("it has no PEM certificate (\"-----BEGIN CERTIFICATE-----\"); convert DER with openssl x509 -inform der")]
    None,
    /// A block does not end.
    #[error("line {0}: the PEM block has no end line")]
    Unclosed(usize),
    /// A block is not base64.
    #[error("line {0}: the PEM block is not base64")]
    Base64(usize),
}

const BASE64: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, GeneralPurposeConfig::new());

/// Returns the DER bytes of all certificates in `text`, in order; text between blocks is ignored.
pub(super) fn certificates(text: &[u8]) -> Result<Vec<Vec<u8>>, PemError> {
    let mut found = Vec::new();
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).enumerate();
    while let Some((index, line)) = lines.next() {
        let Some(label) = label(line, b"-----BEGIN ") else { continue };
        let mut base64 = Vec::new();
        loop {
            let (_, line) = lines.next().ok_or(PemError::Unclosed(index + 1))?;
            if self::label(line, b"-----END ") == Some(label) {
                break;
            }
            base64.extend_from_slice(line);
        }
        if matches!(label, b"CERTIFICATE" | b"X509 CERTIFICATE" | b"TRUSTED CERTIFICATE") {
            base64.retain(|byte| !byte.is_ascii_whitespace());
            found.push(BASE64.decode(&base64).map_err(|_| PemError::Base64(index + 1))?);
        }
    }
    if found.is_empty() { Err(PemError::None) } else { Ok(found) }
}

fn label<'a>(line: &'a [u8], start: &[u8]) -> Option<&'a [u8]> {
    line.strip_prefix(start)?.strip_suffix(b"-----")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn blocks_are_found_and_broken_ones_named() {
        let text = b"# x\r\n-----BEGIN CERTIFICATE-----\r\nAQID\r\nBA==\r\n-----END CERTIFICATE-----\n-----BEGIN X-----\nzz\n-----END X-----";
        assert_eq!(certificates(text), Ok(vec![vec![1, 2, 3, 4]]));
        assert_eq!(certificates(b"hello"), Err(PemError::None));
        assert_eq!(certificates(b"\n-----BEGIN CERTIFICATE-----\nAQID"), Err(PemError::Unclosed(2)));
        assert_eq!(
            certificates(b"-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----"),
            Err(PemError::Base64(1))
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_rejected_or_read(text in "(-----BEGIN CERTIFICATE-----\n)?\\PC{0,80}(\n-----END CERTIFICATE-----)?") {
            let _ = certificates(text.as_bytes());
        }
    }
}
