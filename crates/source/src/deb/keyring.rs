//! OpenPGP certificates that may sign for an archive, and the rules for which of their keys may
//! sign at which time.
//!
//! A keyring is a local, curated file, so its certificates are trusted. This module checks what the
//! owners declared about their keys: which may sign, until when, and whether a key was revoked. If
//! anything is unclear, the key is unusable.

use super::apt_sources::SignedBy;
use jiff::Timestamp;
use pgp::armor::Dearmor;
use pgp::composed::{Deserializable, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType, SignatureVersion, SubpacketData};
use pgp::ser::Serialize;
use pgp::types::{Fingerprint, KeyDetails, KeyId, PublicParams, Tag};
use std::cmp::Reverse;
use std::io::Read;
use std::path::Path;

/// The most bytes of a keyring file.
pub const MAX_KEYRING_BYTES: u64 = 16 << 20;
/// The fewest bits of an RSA modulus.
pub const MIN_RSA_BITS: u16 = 2048;

/// Why a keyring cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The file cannot be read.
    #[error(
        "reading the keyring {path}: {why}; install the Debian package debian-archive-keyring, or name a keyring in the profile (debian.keyring)"
    )]
    Read {
        /// The file.
        path: String,
        /// The cause.
        why: std::io::Error,
    },
    /// Larger than [`MAX_KEYRING_BYTES`].
    #[error("the keyring {0} is larger than {MAX_KEYRING_BYTES} bytes")]
    TooLarge(String),
    /// There is no usable certificate.
    #[error(
        "the keyring {name} contains no OpenPGP certificate ({reason}); it must be what `gpg --export` writes, armored or not"
    )]
    Empty {
        /// The keyring.
        name: String,
        /// The parser's error, or a description.
        reason: String,
    },
}

/// Why a key cannot be used, whatever it signed.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum Unusable {
    /// An algorithm or size that is no longer safe.
    #[error("is a {0} key, which is not safe")]
    WeakKey(String),
    /// The key or its certificate was revoked.
    #[error("was revoked")]
    Revoked,
    /// The key or its certificate has expired.
    #[error("expired on {}", .0.strftime("%Y-%m-%d"))]
    Expired(Timestamp),
    /// No valid self-signature (or subkey binding) with a safe hash.
    #[error("is not bound to its certificate by a valid signature")]
    Unbound,
    /// The binding does not say that the key may sign.
    #[error("is not a signing key")]
    NotForSigning,
}

/// Trusted certificates.
#[derive(Debug, Clone)]
pub struct Keyring {
    names: Vec<String>,
    certificates: Vec<SignedPublicKey>,
}

impl Keyring {
    /// Reads a file, armored (`.asc`) or binary (`.gpg`, `.pgp`), with one or more certificates.
    ///
    /// # Errors
    /// The file cannot be read, is too large, or holds no certificate.
    pub fn from_file(path: &Path) -> Result<Self, KeyringError> {
        let name = path.display().to_string();
        let mut bytes = Vec::new();
        kiln_file::open(path)
            .and_then(|file| file.take(MAX_KEYRING_BYTES + 1).read_to_end(&mut bytes))
            .map_err(|why| KeyringError::Read { path: name.clone(), why })?;
        Self::from_bytes(&name, &bytes)
    }

    /// Reads the first of `paths` that exists, such as one of [`kiln_debian::KEYRINGS`].
    ///
    /// # Errors
    /// Those of [`Keyring::from_file`]; if none exists, the error of the last.
    pub fn from_first<P: AsRef<Path>>(paths: &[P]) -> Result<Self, KeyringError> {
        let existing = paths.iter().find(|path| path.as_ref().exists()).or(paths.last());
        Self::from_file(existing.map_or(Path::new(kiln_debian::KEYRINGS[0]), AsRef::as_ref))
    }

    /// Reads the key material that an entry of apt's sources names.
    ///
    /// # Errors
    /// Those of [`Keyring::from_file`].
    pub fn from_signed_by(signed_by: &SignedBy) -> Result<Self, KeyringError> {
        match signed_by {
            SignedBy::File(path) => Self::from_file(path),
            SignedBy::Key(key) => Self::from_bytes("in apt's sources (Signed-By)", key.as_bytes()),
        }
    }

    /// Reads certificates, armored or binary; messages call them `name`. Certificates of an unknown
    /// kind are ignored.
    ///
    /// # Errors
    /// The input is too large or contains no certificate.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, KeyringError> {
        if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_KEYRING_BYTES) {
            return Err(KeyringError::TooLarge(name.to_owned()));
        }
        let empty = |reason: String| KeyringError::Empty { name: name.to_owned(), reason };
        let packets = if bytes.first().is_some_and(|byte| byte & 0x80 != 0) {
            bytes.to_vec() // the first bit of an OpenPGP packet is set, that of armor is not
        } else {
            dearmor(bytes).map_err(|error| empty(error.to_string()))?
        };
        let parsed = SignedPublicKey::from_bytes_many(packets.as_slice()).map_err(|error| empty(error.to_string()))?;
        let (certificates, problems): (Vec<_>, Vec<_>) = parsed.partition(Result::is_ok);
        let certificates: Vec<_> = certificates.into_iter().flatten().collect();
        if certificates.is_empty() {
            let problem = problems.into_iter().find_map(Result::err);
            return Err(empty(problem.map_or_else(|| "it is empty".to_owned(), |problem| problem.to_string())));
        }
        Ok(Self { names: vec![name.to_owned()], certificates })
    }

    /// Adds the certificates of another keyring.
    pub fn extend(&mut self, other: Self) {
        self.names.extend(other.names);
        self.certificates.extend(other.certificates);
    }

    /// The names of the keyrings, for messages.
    pub fn name(&self) -> String {
        self.names.join(", ")
    }

    #[cfg(test)]
    pub(super) fn forget_subkeys(&mut self) {
        self.certificates.iter_mut().for_each(|certificate| certificate.public_subkeys.clear());
    }

    /// The keys that may have made a signature, according to its issuer fields.
    pub(super) fn issuers<'k>(&'k self, signature: &Signature) -> Vec<Key<'k>> {
        let ids = signature.issuer_key_id();
        let fingerprints = signature.issuer_fingerprint();
        // Either field, as in gpgv: otherwise a change of one would turn a bad signature by a known key
        // into one by an unknown key, which is ignored.
        let matches = |id: KeyId, fingerprint: Fingerprint| ids.contains(&&id) || fingerprints.contains(&&fingerprint);
        let mut keys = Vec::new();
        for certificate in &self.certificates {
            let primary = &certificate.primary_key;
            if matches(primary.legacy_key_id(), primary.fingerprint()) {
                keys.push(Key { certificate, subkey: None });
            }
            for subkey in &certificate.public_subkeys {
                if matches(subkey.key.legacy_key_id(), subkey.key.fingerprint()) {
                    keys.push(Key { certificate, subkey: Some(subkey) });
                }
            }
        }
        keys
    }
}

/// Decodes the packets of all armored blocks of a file.
fn dearmor(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
    let text = String::from_utf8_lossy(bytes);
    let mut packets = Vec::new();
    for (start, _) in text.match_indices(BEGIN) {
        let end = text[start + BEGIN.len()..].find(BEGIN).map_or(text.len(), |length| start + BEGIN.len() + length);
        Dearmor::new(text[start..end].as_bytes()).read_to_end(&mut packets)?;
    }
    Ok(packets)
}

/// One key of a keyring: a certificate's primary key or one of its subkeys.
#[derive(Clone, Copy)]
pub(super) struct Key<'k> {
    certificate: &'k SignedPublicKey,
    subkey: Option<&'k SignedPublicSubKey>,
}

impl Key<'_> {
    pub(super) fn fingerprint(&self) -> String {
        format!("{:X}", self.subkey.map_or_else(|| self.certificate.fingerprint(), |subkey| subkey.key.fingerprint()))
    }

    pub(super) fn created(&self) -> Timestamp {
        timestamp(self.subkey.map_or_else(|| self.certificate.created_at(), |subkey| subkey.key.created_at()))
    }

    /// The certificate's first user id.
    pub(super) fn owner(&self) -> String {
        let user = self.certificate.details.users.first();
        user.map_or_else(String::new, |user| String::from_utf8_lossy(user.id.id()).into_owned())
    }

    /// Whether this key made `signature` over `text`; does not check whether the key may sign.
    pub(super) fn made(&self, signature: &Signature, text: &[u8]) -> bool {
        match self.subkey {
            None => signature.verify(&self.certificate.primary_key, text).is_ok(),
            Some(subkey) => signature.verify(&subkey.key, text).is_ok(),
        }
    }

    /// Checks that the key may sign data at `now`, according to its certificate.
    pub(super) fn check(&self, now: Timestamp) -> Result<(), Unusable> {
        let primary = &self.certificate.primary_key;
        check_strength(primary.public_params())?;
        if !self.certificate.details.revocation_signatures.is_empty() {
            return Err(Unusable::Revoked);
        }
        let certification = self.newest_self_signature(now).ok_or(Unusable::Unbound)?;
        check_expiry(primary.created_at(), certification, now)?;
        match self.subkey {
            None if certification.key_flags().sign() => Ok(()),
            None => Err(Unusable::NotForSigning),
            Some(subkey) => self.check_subkey(subkey, now),
        }
    }

    fn check_subkey(&self, subkey: &SignedPublicSubKey, now: Timestamp) -> Result<(), Unusable> {
        let primary = &self.certificate.primary_key;
        check_strength(subkey.key.public_params())?;
        let of_type = |typ| subkey.signatures.iter().filter(move |signature| signature.typ() == Some(typ));
        if of_type(SignatureType::SubkeyRevocation).next().is_some() {
            return Err(Unusable::Revoked);
        }
        let binding = of_type(SignatureType::SubkeyBinding)
            .filter(|binding| is_sound(binding, now) && binding.verify_subkey_binding(primary, &subkey.key).is_ok())
            .min_by_key(|binding| Reverse(binding.created()))
            .ok_or(Unusable::Unbound)?;
        check_expiry(subkey.key.created_at(), binding, now)?;
        if !binding.key_flags().sign() {
            return Err(Unusable::NotForSigning);
        }
        // RFC 9580, 5.2.1.9: without the subkey's own signature, anyone could claim another owner's
        // signing key.
        let consents = binding.embedded_signature().is_some_and(|embedded| {
            is_sound(embedded, now) && embedded.verify_primary_key_binding(&subkey.key, primary).is_ok()
        });
        if consents { Ok(()) } else { Err(Unusable::Unbound) }
    }

    /// The newest valid certification of a user id, or direct signature on the key, made by the key
    /// itself.
    fn newest_self_signature(&self, now: Timestamp) -> Option<&Signature> {
        let primary = &self.certificate.primary_key;
        let details = &self.certificate.details;
        let direct = details.direct_signatures.iter().filter(|signature| {
            signature.typ() == Some(SignatureType::Key)
                && is_sound(signature, now)
                && signature.verify_key(primary).is_ok()
        });
        let users = details.users.iter().flat_map(|user| {
            let revoked = user.signatures.iter().any(|signature| {
                signature.typ() == Some(SignatureType::CertRevocation)
                    && signature.verify_certification(primary, Tag::UserId, &user.id).is_ok()
            });
            user.signatures.iter().filter(move |signature| {
                !revoked
                    && signature.typ() != Some(SignatureType::CertRevocation)
                    && is_sound(signature, now)
                    && signature.verify_certification(primary, Tag::UserId, &user.id).is_ok()
            })
        });
        direct.chain(users).min_by_key(|signature| Reverse(signature.created()))
    }
}

/// Whether a signature of any type is of a safe kind, is not dated in the future, and has not
/// expired.
pub(super) fn is_sound(signature: &Signature, now: Timestamp) -> bool {
    let Some(config) = signature.config() else { return false };
    let Some(created) = signature.created().map(timestamp) else { return false };
    let expires = signature.signature_expiration_time().and_then(|duration| after(created, duration.as_secs()));
    // RFC 9580, 5.2.3.7: a reader that does not understand a critical subpacket must not accept the
    // signature.
    let understood = config.hashed_subpackets().all(|subpacket| {
        !subpacket.is_critical
            || !matches!(
                subpacket.data,
                SubpacketData::Experimental(..) | SubpacketData::Other(..) | SubpacketData::Notation(..)
            )
    });
    matches!(config.version(), SignatureVersion::V4 | SignatureVersion::V6)
        && is_safe(config.hash_alg)
        && understood
        && created <= now
        && expires.is_none_or(|expires| expires > now)
}

/// Whether the hash algorithm is collision-resistant, so that no two texts have the same signature.
pub(super) fn is_safe(algorithm: HashAlgorithm) -> bool {
    matches!(
        algorithm,
        HashAlgorithm::Sha256
            | HashAlgorithm::Sha384
            | HashAlgorithm::Sha512
            | HashAlgorithm::Sha3_256
            | HashAlgorithm::Sha3_512
    )
}

/// Converts a time of OpenPGP.
pub(super) fn timestamp(time: pgp::types::Timestamp) -> Timestamp {
    Timestamp::from_second(i64::from(time.as_secs())).unwrap_or(Timestamp::MAX)
}

/// `seconds` after `start`; zero means no expiry.
fn after(start: Timestamp, seconds: u32) -> Option<Timestamp> {
    if seconds == 0 {
        return None;
    }
    Some(Timestamp::from_second(start.as_second() + i64::from(seconds)).unwrap_or(Timestamp::MAX))
}

fn check_expiry(created: pgp::types::Timestamp, binding: &Signature, now: Timestamp) -> Result<(), Unusable> {
    match binding.key_expiration_time().and_then(|duration| after(timestamp(created), duration.as_secs())) {
        Some(expires) if expires <= now => Err(Unusable::Expired(expires)),
        _ => Ok(()),
    }
}

fn check_strength(params: &PublicParams) -> Result<(), Unusable> {
    let weak = |what: String| Err(Unusable::WeakKey(what));
    match params {
        PublicParams::RSA(rsa) => {
            // The first MPI is the modulus; it starts with its length in bits.
            let mut bytes = Vec::new();
            let bits = match rsa.to_writer(&mut bytes) {
                Ok(()) => bytes.first_chunk().map_or(0, |length| u16::from_be_bytes(*length)),
                Err(_) => 0,
            };
            if bits < MIN_RSA_BITS { weak(format!("{bits}-bit RSA")) } else { Ok(()) }
        }
        PublicParams::ECDSA(_) | PublicParams::EdDSALegacy(_) | PublicParams::Ed25519(_) | PublicParams::Ed448(_) => {
            Ok(())
        }
        PublicParams::DSA(_) => weak("DSA".to_owned()),
        _ => weak("non-signing".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn files_that_are_not_keyrings_are_named() {
        for bytes in [
            &b""[..],
            b"not a keyring\n",
            b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n-----END PGP PUBLIC KEY BLOCK-----\n",
        ] {
            let error = Keyring::from_bytes("keys.gpg", bytes).expect_err("no keyring").to_string();
            assert!(error.starts_with("the keyring keys.gpg contains no OpenPGP certificate"), "{error}");
        }
        let neither =
            Keyring::from_first(&["/nonexistent/a.pgp", "/nonexistent/b.gpg"]).expect_err("missing").to_string();
        assert!(neither.starts_with("reading the keyring /nonexistent/b.gpg: "), "{neither}");
        let missing = Keyring::from_file(Path::new("/nonexistent/keys.gpg")).expect_err("missing").to_string();
        assert!(missing.contains("/nonexistent/keys.gpg") && missing.contains("debian-archive-keyring"), "{missing}");
    }

    #[test]
    fn armored_blocks_may_follow_each_other() {
        let block = include_str!("testdata/archive.asc");
        let keyring = Keyring::from_bytes("two.asc", format!("# a\n{block}\n{block}").as_bytes()).expect("a keyring");
        assert_eq!(keyring.certificates.len(), 2);
        let mut twice = keyring.clone();
        twice.extend(Keyring::from_bytes("one.asc", block.as_bytes()).expect("a keyring"));
        assert_eq!((twice.certificates.len(), twice.name().as_str()), (3, "two.asc, one.asc"));
    }

    #[test]
    fn the_first_existing_file_or_an_inline_key_is_read() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("archive.asc");
        std::fs::write(&path, include_bytes!("testdata/archive.asc")).expect("write");
        let keyring = Keyring::from_first(&[Path::new("/nonexistent/a.pgp"), &path]).expect("a keyring");
        assert_eq!(keyring.name(), path.display().to_string());
        let key = SignedBy::Key(include_str!("testdata/archive.asc").to_owned());
        assert_eq!(Keyring::from_signed_by(&key).expect("a key").certificates, keyring.certificates);
    }

    fn subkey_check(change: impl FnOnce(&mut SignedPublicKey)) -> Result<(), Unusable> {
        let mut keyring =
            Keyring::from_bytes("archive.asc", include_bytes!("testdata/archive.asc")).expect("a keyring");
        change(&mut keyring.certificates[0]);
        let certificate = &keyring.certificates[0];
        let now = "2026-11-01T00:00:00Z".parse().expect("a date");
        Key { certificate, subkey: certificate.public_subkeys.first() }.check(now)
    }

    #[test]
    fn a_subkey_needs_a_binding_a_back_signature_and_a_bound_primary() {
        assert_eq!(subkey_check(|_| {}), Ok(()));
        let without_consent = subkey_check(|certificate| {
            let binding = &mut certificate.public_subkeys[0].signatures[0];
            let embedded = binding
                .config()
                .expect("known")
                .unhashed_subpackets()
                .position(|subpacket| matches!(subpacket.data, SubpacketData::EmbeddedSignature(_)));
            binding.unhashed_subpacket_remove(embedded.expect("an embedded signature")).expect("removed");
        });
        assert_eq!(without_consent, Err(Unusable::Unbound));
        assert_eq!(
            subkey_check(|certificate| certificate.public_subkeys[0].signatures.clear()),
            Err(Unusable::Unbound)
        );
        assert_eq!(subkey_check(|certificate| certificate.details.users.clear()), Err(Unusable::Unbound));
        let other_binding = subkey_check(|certificate| {
            certificate.public_subkeys[0].signatures = certificate.details.users[0].signatures.clone();
        });
        assert_eq!(other_binding, Err(Unusable::Unbound));
    }

    #[test]
    fn a_primary_key_that_only_certifies_may_not_sign() {
        let keyring = Keyring::from_bytes("archive.asc", include_bytes!("testdata/archive.asc")).expect("a keyring");
        let key = Key { certificate: &keyring.certificates[0], subkey: None };
        assert_eq!(key.check("2026-11-01T00:00:00Z".parse().expect("a date")), Err(Unusable::NotForSigning));
    }

    proptest! {
        #[test]
        fn mutated_keyrings_never_panic(at in 0usize..900, with in "[A-Za-z0-9+/=\n-]{0,4}", remove in 0usize..9) {
            let mut bytes = include_bytes!("testdata/archive.asc").to_vec();
            let at = at.min(bytes.len());
            let end = (at + remove).min(bytes.len());
            bytes.splice(at..end, with.bytes());
            if let Ok(keyring) = Keyring::from_bytes("archive.asc", &bytes) {
                for certificate in &keyring.certificates {
                    let _ = Key { certificate, subkey: certificate.public_subkeys.first() }.check(Timestamp::UNIX_EPOCH);
                }
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Keyring::from_bytes("keys.gpg", &bytes);
        }
    }
}
