//! Whether an `InRelease` is signed by a trusted key, and exactly which text that key signed.
//!
//! As apt does: one good signature suffices, and signatures by keys that are not in the keyring do not count either way; but a signature
//! that names a key of the keyring and does not fit the text condemns the message, since then someone changed it.
//! MD5 and SHA-1 are refused, as are DSA and RSA below 2048 bits. A key must be valid now, not merely when it signed.

use super::cleartext::{self, Cleartext, CleartextError};
use super::keyring::{Key, Keyring, Unusable, is_safe, is_sound, timestamp};
use super::release::MAX_CLOCK_SKEW;
use jiff::Timestamp;
use pgp::armor::{BlockType, Dearmor, DearmorOptions};
use pgp::packet::{Packet, PacketParser, Signature, SignatureType};
use std::fmt;
use std::io::BufReader;

/// Most signatures a message may carry; each costs one or two public key operations.
pub const MAX_SIGNATURES: usize = 32;

/// A message that is not to be believed.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum SignatureError {
    /// The message is malformed.
    #[error("it is not one cleartext-signed text: {0}")]
    Cleartext(#[from] CleartextError),
    /// The signature block is malformed.
    #[error("its signature block cannot be read: {0}")]
    Block(String),
    /// There is no signature in the block, or there are more than [`MAX_SIGNATURES`].
    #[error("it carries {0} signatures, where 1 to {MAX_SIGNATURES} may be")]
    Count(usize),
    /// The text is not what a trusted key signed.
    #[error(
        "the signature by {owner} (key {key}, keyring {keyring}) does not fit the text: it was changed after it was signed, by the mirror or \
         on the way; use another mirror"
    )]
    Bad {
        /// Fingerprint of the key the signature names.
        key: String,
        /// The user id of its certificate.
        owner: String,
        /// The keyring that holds it.
        keyring: String,
    },
    /// No signature counts.
    #[error(
        "no signature can be trusted with the keyring {keyring}: {}; install a newer debian-archive-keyring, or name the keyring of this \
         archive in the profile (debian.keyring)",
        Listing(.doubts)
    )]
    Untrusted {
        /// The keyring that was used.
        keyring: String,
        /// What speaks against each signature.
        doubts: Vec<(String, Doubt)>,
    },
}

/// Why a signature does not count.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum Doubt {
    /// The keyring does not have the key.
    #[error("is not in the keyring")]
    UnknownKey,
    /// The key is of no use.
    #[error(transparent)]
    Key(#[from] Unusable),
    /// The signature's hash is MD5, SHA-1, or something unknown.
    #[error("signed with the hash {0}, which is not safe")]
    WeakHash(String),
    /// It is not a signature over a text, too old a format, has expired, or is dated in the future or before its key was made.
    #[error("made a signature that is not valid now for this text")]
    Invalid,
}

struct Listing<'a>(&'a [(String, Doubt)]);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, doubt)) in self.0.iter().enumerate() {
            write!(f, "{}key {key} {doubt}", if index > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

/// A text and who signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Exactly what was signed; see [`Cleartext::text`].
    pub text: String,
    /// The trusted keys that signed it, at least one.
    pub signers: Vec<Signer>,
}

/// A key that signed a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// Fingerprint of the key, upper-case hexadecimal.
    pub fingerprint: String,
    /// The first user id of its certificate.
    pub owner: String,
    /// When it signed.
    pub created: Timestamp,
}

/// Verifies a cleartext-signed message such as an `InRelease` at the time `now`.
///
/// # Errors
/// The message is malformed, was changed, or is not signed by a key of `keyring` that is valid.
pub fn verify(message: &[u8], keyring: &Keyring, now: Timestamp) -> Result<Verified, SignatureError> {
    let cleartext = cleartext::split(message)?;
    let signatures = read_signatures(&cleartext)?;
    let signed = cleartext.signed_bytes();
    let mut signers = Vec::new();
    let mut doubts = Vec::new();
    for signature in &signatures {
        match judge(signature, &signed, keyring, now)? {
            Ok(signer) => signers.push(signer),
            Err(doubt) => doubts.push((issuer(signature), doubt)),
        }
    }
    if signers.is_empty() {
        return Err(SignatureError::Untrusted { keyring: keyring.name(), doubts });
    }
    Ok(Verified { text: cleartext.text, signers })
}

/// Whether one signature counts; an error if it shows that the text was changed.
fn judge(
    signature: &Signature,
    signed: &[u8],
    keyring: &Keyring,
    now: Timestamp,
) -> Result<Result<Signer, Doubt>, SignatureError> {
    let keys = keyring.issuers(signature);
    let Some(first) = keys.first() else { return Ok(Err(Doubt::UnknownKey)) };
    let hash = signature.hash_alg();
    if !hash.is_some_and(is_safe) {
        return Ok(Err(Doubt::WeakHash(hash.map_or_else(|| "unknown".to_owned(), |hash| hash.to_string()))));
    }
    if signature.typ() != Some(SignatureType::Text) {
        return Ok(Err(Doubt::Invalid));
    }
    let makers: Vec<_> = keys.iter().filter(|key| key.made(signature, signed)).collect();
    if makers.is_empty() {
        let (key, owner) = (first.fingerprint(), first.owner());
        return Err(SignatureError::Bad { key, owner, keyring: keyring.name() });
    }
    let mut doubt = Doubt::UnknownKey;
    for key in makers {
        match accept(signature, key, now) {
            Ok(signer) => return Ok(Ok(signer)),
            Err(reason) => doubt = reason,
        }
    }
    Ok(Err(doubt))
}

/// Whether a signature that fits the text and the key is valid at `now`, and the key allowed to make it.
fn accept(signature: &Signature, key: &Key<'_>, now: Timestamp) -> Result<Signer, Doubt> {
    key.check(now)?;
    let created = signature.created().map(timestamp).ok_or(Doubt::Invalid)?;
    let latest = now.checked_add(MAX_CLOCK_SKEW).unwrap_or(Timestamp::MAX);
    if created < key.created() || !is_sound(signature, now.max(created.min(latest))) {
        return Err(Doubt::Invalid);
    }
    Ok(Signer { fingerprint: key.fingerprint(), owner: key.owner(), created })
}

fn read_signatures(cleartext: &Cleartext<'_>) -> Result<Vec<Signature>, SignatureError> {
    let block = |error: pgp::errors::Error| SignatureError::Block(error.to_string());
    let options = DearmorOptions::new().set_limit(cleartext::MAX_SIGNATURE_BYTES).enable_crc24_check();
    let mut dearmor = Dearmor::with_options(cleartext.signature.as_bytes(), options);
    dearmor.read_header().map_err(block)?;
    if dearmor.typ != Some(BlockType::Signature) {
        return Err(SignatureError::Block("it is not of the type \"PGP SIGNATURE\"".to_owned()));
    }
    let mut signatures = Vec::new();
    for packet in PacketParser::new(BufReader::new(dearmor)) {
        match packet.map_err(block)? {
            Packet::Signature(signature) => signatures.push(signature),
            other => {
                return Err(SignatureError::Block(format!(
                    "it holds a packet of type {:?}",
                    pgp::packet::PacketTrait::tag(&other)
                )));
            }
        }
        if signatures.len() > MAX_SIGNATURES {
            break;
        }
    }
    if signatures.is_empty() || signatures.len() > MAX_SIGNATURES {
        return Err(SignatureError::Count(signatures.len()));
    }
    Ok(signatures)
}

/// The key a signature names, for messages.
fn issuer(signature: &Signature) -> String {
    let fingerprint = signature.issuer_fingerprint().first().map(|fingerprint| format!("{fingerprint:X}"));
    let id = || signature.issuer_key_id().first().map(|id| id.to_string().to_uppercase());
    fingerprint.or_else(id).unwrap_or_else(|| "without a name".to_owned())
}
