//! Verifies that a trusted key signed an `InRelease`, and returns exactly the signed text.
//!
//! The rules are those of apt: one good signature suffices, and signatures by keys that are not in
//! the keyring are ignored. But if a signature names a key of the keyring and does not match the
//! text, the message is rejected, because someone changed it. MD5 and SHA-1 are rejected, as are
//! DSA and RSA below 2048 bits. A key must be valid now, not only at the time of the signature.

use super::cleartext::{self, Cleartext, CleartextError};
use super::keyring::{Key, Keyring, Unusable, is_safe, is_sound, timestamp};
use super::release::MAX_CLOCK_SKEW;
use jiff::Timestamp;
use pgp::armor::{BlockType, Dearmor, DearmorOptions};
use pgp::packet::{Packet, PacketParser, Signature, SignatureType};
use std::fmt;
use std::io::Read;

/// The most signatures of a message; each costs one or two public key operations.
pub const MAX_SIGNATURES: usize = 32;

/// Why a message is not trusted.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum SignatureError {
    /// The message is malformed.
    #[error("it is not a single cleartext-signed text: {0}; use another mirror (--mirror)")]
    Cleartext(#[from] CleartextError),
    /// The signature block is malformed.
    #[error("its signature block cannot be read: {0}; use another mirror (--mirror)")]
    Block(String),
    /// There is no signature in the block, or there are more than [`MAX_SIGNATURES`].
    #[error("it has {0} signatures, but 1 to {MAX_SIGNATURES} are allowed; use another mirror (--mirror)")]
    Count(usize),
    /// The text is not the one that a trusted key signed.
    #[error(
        "the signature by {owner} (key {key}, keyring {keyring}) does not match the text: it was changed after it was signed, by the mirror or \
         on the way; use another mirror (--mirror)"
    )]
    Bad {
        /// The fingerprint of the key that the signature names.
        key: String,
        /// The user id of its certificate.
        owner: String,
        /// The keyring that contains it.
        keyring: String,
    },
    /// No signature is trusted.
    #[error(
        "no signature can be trusted with the keyring {keyring}: {}; {}install a newer debian-archive-keyring, or name the keyring of this \
         archive in the profile (debian.keyring)",
        Listing(.doubts),
        clock_advice(.doubts, *.now)
    )]
    Untrusted {
        /// The keyring that was used.
        keyring: String,
        /// The time of this machine.
        now: Timestamp,
        /// Why each signature is not trusted.
        doubts: Vec<(String, Doubt)>,
    },
}

/// Why a signature is not trusted.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum Doubt {
    /// The keyring does not contain the key.
    #[error("is not in the keyring")]
    UnknownKey,
    /// The key is unusable.
    #[error(transparent)]
    Key(#[from] Unusable),
    /// The signature's hash is MD5, SHA-1, or something unknown.
    #[error("signed with the hash {0}, which is not safe")]
    WeakHash(String),
    /// It is dated in the future.
    #[error("made a signature on {}, which is in the future", .0.strftime("%Y-%m-%d"))]
    Future(Timestamp),
    /// It is not a signature over a text, too old a format, has expired, or is dated before its key
    /// was made.
    #[error("made a signature that is not valid now for this text")]
    Invalid,
}

/// The first thing to do if the clock may be the cause.
fn clock_advice(doubts: &[(String, Doubt)], now: Timestamp) -> String {
    let is_of_time = |doubt: &Doubt| matches!(doubt, Doubt::Future(_) | Doubt::Key(Unusable::Expired(_)));
    if doubts.iter().any(|(_, doubt)| is_of_time(doubt)) {
        format!("set this machine's clock if today is not {}, ", now.strftime("%Y-%m-%d"))
    } else {
        String::new()
    }
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

/// A text and its signers.
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
        return Err(SignatureError::Untrusted { keyring: keyring.name(), now, doubts });
    }
    Ok(Verified { text: cleartext.text, signers })
}

/// Whether one signature is trusted; an error if it shows that the text was changed.
fn judge(
    signature: &Signature,
    signed: &[u8],
    keyring: &Keyring,
    now: Timestamp,
) -> Result<Result<Signer, Doubt>, SignatureError> {
    let keys = keyring.issuers(signature);
    let Some(first) = keys.first() else { return Ok(Err(Doubt::UnknownKey)) };
    // Before anything else: otherwise who changes the text could also change the signature so that it
    // is merely doubtful.
    let makers: Vec<_> = keys.iter().filter(|key| key.made(signature, signed)).collect();
    if makers.is_empty() {
        let (key, owner) = (first.fingerprint(), first.owner());
        return Err(SignatureError::Bad { key, owner, keyring: keyring.name() });
    }
    let hash = signature.hash_alg();
    if !hash.is_some_and(is_safe) {
        return Ok(Err(Doubt::WeakHash(hash.map_or_else(|| "unknown".to_owned(), |hash| hash.to_string()))));
    }
    if signature.typ() != Some(SignatureType::Text) {
        return Ok(Err(Doubt::Invalid));
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

/// Checks that a signature that matches the text and the key is valid at `now` and that the key may
/// make it.
fn accept(signature: &Signature, key: &Key<'_>, now: Timestamp) -> Result<Signer, Doubt> {
    let created = signature.created().map(timestamp).ok_or(Doubt::Invalid)?;
    let latest = now.checked_add(MAX_CLOCK_SKEW).unwrap_or(Timestamp::MAX);
    // Before the key, whose own signatures are then in the future, too.
    if created > latest {
        return Err(Doubt::Future(created));
    }
    key.check(now)?;
    if created < key.created() || !is_sound(signature, now.max(created.min(latest))) {
        return Err(Doubt::Invalid);
    }
    Ok(Signer { fingerprint: key.fingerprint(), owner: key.owner(), created })
}

fn read_signatures(cleartext: &Cleartext<'_>) -> Result<Vec<Signature>, SignatureError> {
    let block = |error: pgp::errors::Error| SignatureError::Block(error.to_string());
    let options = DearmorOptions::new().set_limit(cleartext::MAX_SIGNATURE_BYTES);
    let mut dearmor = Dearmor::with_options(cleartext.signature.as_bytes(), options);
    dearmor.read_header().map_err(block)?;
    if dearmor.typ != Some(BlockType::Signature) {
        return Err(SignatureError::Block("its type is not \"PGP SIGNATURE\"".to_owned()));
    }
    let mut packets = Vec::new();
    // Read to the end first: a Dearmor must not be read again after an error.
    dearmor.read_to_end(&mut packets).map_err(|error| SignatureError::Block(error.to_string()))?;
    let mut signatures = Vec::new();
    for packet in PacketParser::new(packets.as_slice()) {
        if matches!(packet, Err(pgp::errors::Error::Unsupported { .. })) {
            continue; // a version that this reader does not know
        }
        match packet.map_err(block)? {
            Packet::Signature(signature) => signatures.push(signature),
            other => {
                return Err(SignatureError::Block(format!(
                    "it contains a packet of type {:?}",
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

/// The key that a signature names, for messages.
fn issuer(signature: &Signature) -> String {
    let fingerprint = signature.issuer_fingerprint().first().map(|fingerprint| format!("{fingerprint:X}"));
    let id = || signature.issuer_key_id().first().map(|id| id.to_string().to_uppercase());
    fingerprint.or_else(id).unwrap_or_else(|| "of unknown id".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An Ed25519 certificate whose subkey may sign from 2026-01-01 to 2029-12-31, and a text it
    /// signed on 2026-11-01.
    const KEYS: &[u8] = include_bytes!("testdata/archive.asc");
    const MESSAGE: &str = include_str!("testdata/message.asc");
    const SUBKEY: &str = "E2017C6F0DCCDF5054C5C05F214393BBBA8D85E5";

    fn keyring() -> Keyring {
        Keyring::from_bytes("archive.asc", KEYS).expect("a keyring")
    }

    fn on(date: &str) -> Timestamp {
        format!("{date}T00:00:00Z").parse().expect("a date")
    }

    fn verify_on(date: &str, message: &str) -> Result<Verified, SignatureError> {
        verify(message.as_bytes(), &keyring(), on(date))
    }

    fn refusal(date: &str, message: &str) -> String {
        verify_on(date, message).expect_err("refused").to_string()
    }

    fn base64(bytes: &[u8]) -> String {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let digit = |bits: u32| char::from(ALPHABET[usize::try_from(bits & 63).expect("six bits")]);
        let mut text = String::new();
        for chunk in bytes.chunks(3) {
            let bits = chunk.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
            let digits = [18, 12, 6, 0].map(|shift| digit(bits >> shift));
            text.extend(&digits[..=chunk.len()]);
            text.extend(std::iter::repeat_n('=', 3 - chunk.len()));
        }
        text
    }

    #[test]
    fn a_good_signature_yields_the_signed_text() {
        let verified = verify_on("2026-11-02", MESSAGE).expect("signed");
        assert_eq!(verified.text, "Origin: Test\nCodename: trixie\n\n-dash\n- item\nlast\n");
        let signer = &verified.signers[0];
        assert_eq!((signer.fingerprint.as_str(), signer.created), (SUBKEY, on("2026-11-01")));
        assert_eq!(signer.owner, "Test Archive <archive@example.org>");
    }

    #[test]
    fn text_that_a_signature_does_not_cover_may_change() {
        let text = verify_on("2026-11-02", MESSAGE).expect("signed").text;
        for message in [
            MESSAGE.replace('\n', "\r\n"),
            MESSAGE.replace("- item ", "- item"),
            MESSAGE.replace("trixie\n", "trixie \t\n"),
            MESSAGE.replace("\nlast", "\n- last"),
        ] {
            assert_eq!(verify_on("2026-11-02", &message).expect("still signed").text, text);
        }
    }

    #[test]
    fn a_changed_text_is_rejected() {
        for message in [
            MESSAGE.replace("trixie", "sid"),
            MESSAGE.replace("Origin", " Origin"),
            MESSAGE.replace("last\n", "last\n\n"),
            MESSAGE.replace("last\n", ""),
            MESSAGE.replace("\n\n- -dash", "\n- -dash"),
        ] {
            let error = refusal("2026-11-02", &message);
            assert!(error.starts_with("the signature by Test Archive") && error.contains(SUBKEY), "{error}");
        }
    }

    #[test]
    fn keys_and_signatures_are_valid_only_in_their_period() {
        assert!(refusal("2030-01-01", MESSAGE).contains("85E5 expired on 2030-01-01"));
        assert!(verify_on("2029-12-31", MESSAGE).is_ok());
        assert!(verify_on("2026-10-31", MESSAGE).is_ok(), "clocks may differ by a day");
        assert!(
            refusal("2026-10-30", MESSAGE)
                .contains("2026-11-01, which is in the future; set this machine's clock if today is not 2026-10-30")
        );
        assert!(refusal("2025-06-01", MESSAGE).contains("in the future"));
    }

    #[test]
    fn an_unknown_key_is_named_with_the_remedy() {
        // The certificate without its subkey: the same owner, but not the key that signed.
        let mut keys = keyring();
        keys.forget_subkeys();
        let error = verify(MESSAGE.as_bytes(), &keys, on("2026-11-02")).expect_err("unknown").to_string();
        assert!(error.contains(&format!("key {SUBKEY} is not in the keyring")), "{error}");
        assert!(error.contains("archive.asc") && error.contains("debian-archive-keyring"), "{error}");
    }

    #[test]
    fn a_broken_block_is_rejected() {
        let block = &MESSAGE[MESSAGE.find("-----BEGIN PGP SIGNATURE").expect("there")..];
        let with = |block: &str| format!("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nx\n{block}");
        for broken in [
            block.replace("iHUE", "aHUE"),
            block.replace("iHUE", "%%%%"),
            block
                .lines()
                .filter(|line| line.starts_with('-') || line.is_empty())
                .map(|line| format!("{line}\n"))
                .collect(),
        ] {
            let error = refusal("2026-11-02", &with(&broken));
            assert!(error.contains("signature block cannot be read") || error.contains("has 0 signatures"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_mutation_of_the_block_is_accepted_for_another_text(at in 0usize..300, with in "[A-Za-z0-9+/=\n -]{0,5}", remove in 0usize..9) {
            let start = MESSAGE.find("-----BEGIN PGP SIGNATURE").expect("there");
            let mut message = MESSAGE.replace("trixie", "sid").into_bytes();
            let at = (start + at).min(message.len());
            let end = (at + remove).min(message.len());
            message.splice(at..end, with.bytes());
            prop_assert!(verify(&message, &keyring(), on("2026-11-02")).is_err());
        }

        #[test]
        fn arbitrary_packets_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let message = format!(
                "-----BEGIN PGP SIGNED MESSAGE-----\n\nx\n-----BEGIN PGP SIGNATURE-----\n\n{}\n-----END PGP SIGNATURE-----\n",
                base64(&bytes)
            );
            prop_assert!(verify_on("2026-11-02", &message).is_err());
        }
    }
}
