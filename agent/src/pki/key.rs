//! The node's key: ECDSA on P-256, like the keys that kubelet makes.

use super::pem;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData as _};
use rustls::pki_types::PrivatePkcs8KeyDer;
use zeroize::{Zeroize as _, Zeroizing};

/// The PKCS #8 header (RFC 5208) before a P-256 key in the form of RFC 5915: version 0 and the
/// algorithm, ecPublicKey on prime256v1.
const ALGORITHM: [u8; 24] = [
    0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
    0xce, 0x3d, 0x03, 0x01, 0x07,
];

/// Errors of keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The file contains something else or a truncated key.
    #[error("there is no P-256 key in PEM (PKCS #8 or RFC 5915)")]
    Malformed,
    /// There is no randomness.
    #[error("making a key: {0}")]
    Make(String),
    /// The request cannot be written.
    #[error("signing the request: {0}")]
    Sign(String),
}

/// A key pair. It is wiped from memory when dropped.
pub struct Key {
    pair: KeyPair,
    spki: Vec<u8>,
}

impl Key {
    /// Makes a new key.
    ///
    /// # Errors
    /// [`KeyError::Make`].
    pub fn generate() -> Result<Self, KeyError> {
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map(Self::new).map_err(|error| KeyError::Make(error.to_string()))
    }

    /// Reads a key from a PEM text that may also contain certificates: in the form that the agent
    /// writes, or kubelet when it renews its certificate.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let sections = |label| pem::decode(label, text).ok_or(KeyError::Malformed);
        let mut keys = sections(pem::PRIVATE_KEY)?;
        keys.extend(sections(pem::EC_PRIVATE_KEY)?.iter().filter_map(|key| pkcs8(key)));
        let [section] = keys.as_slice() else { return Err(KeyError::Malformed) };
        let pkcs8 = PrivatePkcs8KeyDer::from(section.as_slice());
        let pair = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &PKCS_ECDSA_P256_SHA256);
        pair.map(Self::new).map_err(|_| KeyError::Malformed)
    }

    fn new(pair: KeyPair) -> Self {
        let spki = pair.subject_public_key_info();
        Self { pair, spki }
    }

    /// In PEM (PKCS #8).
    pub fn to_pem(&self) -> Zeroizing<String> {
        pem::encode(pem::PRIVATE_KEY, self.pair.serialized_der())
    }

    /// In DER (PKCS #8), for TLS.
    pub fn to_pkcs8(&self) -> PrivatePkcs8KeyDer<'static> {
        self.pair.serialized_der().to_vec().into()
    }

    /// SubjectPublicKeyInfo, in DER.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// For authorities made in tests.
    #[cfg(test)]
    pub(crate) fn pair(&self) -> &KeyPair {
        &self.pair
    }

    /// A certificate request (PKCS #10, RFC 2986) in PEM: this key, one organization and one common
    /// name, nothing else.
    ///
    /// # Errors
    /// [`KeyError::Sign`].
    pub fn request(&self, organization: &str, common_name: &str) -> Result<String, KeyError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, organization);
        params.distinguished_name.push(DnType::CommonName, common_name);
        let request = params.serialize_request(&self.pair).map_err(|error| KeyError::Sign(error.to_string()))?;
        Ok(pem::encode(pem::CERTIFICATE_REQUEST, request.der()).to_string())
    }
}

/// Wraps a P-256 key of RFC 5915 in PKCS #8.
fn pkcs8(key: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    // Curve, key and public key take 121 bytes; lengths up to 127 are one byte, those up to 255 are
    // two.
    let inner = u8::try_from(key.len()).ok().filter(|length| *length < 0x80)?;
    let outer = u8::try_from(ALGORITHM.len() + 2 + key.len()).ok().filter(|length| *length >= 0x80)?;
    let mut framed = Zeroizing::new(Vec::with_capacity(key.len() + ALGORITHM.len() + 5));
    framed.extend([0x30, 0x81, outer]);
    framed.extend(ALGORITHM);
    framed.extend([0x04, inner]);
    framed.extend(key);
    Some(framed)
}

impl Drop for Key {
    fn drop(&mut self) {
        self.pair.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_round_trips_through_its_file() {
        let key = Key::generate().expect("a key");
        let again = Key::from_pem(&key.to_pem()).expect("the same");
        assert_eq!(again.spki(), key.spki());
        let pem = key.to_pem();
        let truncated = &pem[..pem.len() / 2];
        assert_eq!(Key::from_pem(truncated).err(), Some(KeyError::Malformed));
        assert_eq!(Key::from_pem("").err(), Some(KeyError::Malformed));
        let wrong = pem::encode(pem::PRIVATE_KEY, &[1, 2, 3]);
        assert_eq!(Key::from_pem(&wrong).err(), Some(KeyError::Malformed));
        for length in [0, 3, 100, 121, 127, 128, 300] {
            let wrong = pem::encode(pem::EC_PRIVATE_KEY, &vec![0; length]);
            assert_eq!(Key::from_pem(&wrong).err(), Some(KeyError::Malformed), "{length}");
        }
    }
}
