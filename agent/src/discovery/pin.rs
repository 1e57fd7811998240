//! The pin of a certificate authority.

use crate::pki::Certificate;
use crate::seed::Pin;
use ring::digest::{SHA256, digest};

/// The SHA-256 hash of a certificate's SubjectPublicKeyInfo; `None` if it is not a certificate.
pub fn pin_of(certificate: &[u8]) -> Option<Pin> {
    let certificate = Certificate::parse(certificate).ok()?;
    digest(&SHA256, &certificate.spki).as_ref().try_into().ok().map(Pin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::csr::testdata;

    #[test]
    fn known_answer() {
        let hash: [u8; 32] = digest(&SHA256, testdata::spki_of_one().as_slice()).as_ref().try_into().expect("32 bytes");
        assert_eq!(Pin(hash).to_string(), "sha256:5cd252fb0ce8932436faf8ccd1040981b89ee4ad6b9fe9e2a2b7e71aacb27cd3");
    }
}
