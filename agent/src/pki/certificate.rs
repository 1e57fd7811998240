//! The parts of a certificate that a node needs: subject, key, validity and issuer.

use super::der::{self, Der};
use crate::net::SIGNATURES;
use crate::time::days;
use rustls::pki_types::{CertificateDer, UnixTime};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// id-at-commonName and id-at-organizationName.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];

/// The fields of a certificate that a node reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Common names of the subject; exactly one in a valid certificate.
    pub common_names: Vec<String>,
    /// Organizations of the subject, in order.
    pub organizations: Vec<String>,
    /// The start of its validity.
    pub not_before: SystemTime,
    /// The end of its validity.
    pub not_after: SystemTime,
    /// SubjectPublicKeyInfo.
    pub spki: Vec<u8>,
}

/// Why a certificate cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not a certificate.
    #[error("it is not an X.509 certificate")]
    Malformed,
    /// Not issued by the cluster, not for clients, or not valid now.
    #[error("the cluster's authority does not verify it: {0}")]
    NotVouchedFor(String),
}

impl Certificate {
    /// Reads TBSCertificate (RFC 5280, 4.1).
    ///
    /// # Errors
    /// [`CertificateError::Malformed`].
    pub fn parse(der: &[u8]) -> Result<Self, CertificateError> {
        read(der).ok_or(CertificateError::Malformed)
    }

    /// The remaining share of its validity at `now`, 0 to 1.
    pub fn left(&self, now: SystemTime) -> f64 {
        let life = self.not_after.duration_since(self.not_before).unwrap_or_default();
        let left = self.not_after.duration_since(now).unwrap_or_default();
        if life.is_zero() { 0.0 } else { (left.as_secs_f64() / life.as_secs_f64()).min(1.0) }
    }
}

fn read(bytes: &[u8]) -> Option<Certificate> {
    let mut outer = Der::new(bytes);
    let mut tbs = outer.enter(der::SEQUENCE)?.enter(der::SEQUENCE)?;
    if !outer.is_empty() {
        return None;
    }
    if tbs.tag() == Some(der::CONTEXT_0) {
        tbs.any()?;
    }
    tbs.value(der::INTEGER)?;
    // signature, issuer
    tbs.value(der::SEQUENCE)?;
    tbs.value(der::SEQUENCE)?;
    let mut validity = tbs.enter(der::SEQUENCE)?;
    let (not_before, not_after) = (time(&mut validity)?, time(&mut validity)?);
    let mut subject = tbs.enter(der::SEQUENCE)?;
    let (mut common_names, mut organizations) = (Vec::new(), Vec::new());
    while !subject.is_empty() {
        let mut set = subject.enter(der::SET)?;
        while !set.is_empty() {
            let mut attribute = set.enter(der::SEQUENCE)?;
            let kind = attribute.value(der::OID)?;
            let (tag, value, _) = attribute.any()?;
            let list = match kind {
                COMMON_NAME => &mut common_names,
                ORGANIZATION => &mut organizations,
                _ => continue,
            };
            if !matches!(tag, der::UTF8_STRING | der::PRINTABLE_STRING) {
                return None;
            }
            list.push(String::from_utf8(value.to_vec()).ok()?);
        }
    }
    let (tag, _, spki) = tbs.any()?;
    (tag == der::SEQUENCE).then(|| Certificate {
        common_names,
        organizations,
        not_before,
        not_after,
        spki: spki.to_vec(),
    })
}

/// The SubjectPublicKeyInfo of a certificate request (PKCS #10, RFC 2986, 4.1).
pub fn request_spki(der: &[u8]) -> Option<&[u8]> {
    let mut info = Der::new(der).enter(der::SEQUENCE)?.enter(der::SEQUENCE)?;
    info.value(der::INTEGER)?;
    info.value(der::SEQUENCE)?;
    let (tag, _, spki) = info.any()?;
    (tag == der::SEQUENCE).then_some(spki)
}

/// UTCTime or GeneralizedTime, in the only form of each that RFC 5280 allows.
fn time(reader: &mut Der<'_>) -> Option<SystemTime> {
    let (tag, text, _) = reader.any()?;
    let (digits, zone) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if zone != b"Z" || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| {
        Some(digits.get(range)?.iter().fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0')))
    };
    let (year, rest) = match (tag, digits.len()) {
        (der::UTC_TIME, 12) => (number(0..2).map(|year| if year < 50 { 2000 + year } else { 1900 + year })?, 2),
        (der::GENERALIZED_TIME, 14) => (number(0..4)?, 4),
        _ => return None,
    };
    let field = |index: usize| number(rest + 2 * index..rest + 2 * index + 2);
    let (month, day, hour, minute, second) = (field(0)?, field(1)?, field(2)?, field(3)?, field(4)?);
    let is_possible =
        year >= 1970 && (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 60;
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    is_possible.then(|| UNIX_EPOCH + Duration::from_secs(seconds))
}

/// Checks that one of `authorities` verifies, at `now`, the first certificate of `chain` as a
/// client certificate.
///
/// # Errors
/// [`CertificateError`].
pub fn verify_client(
    chain: &[CertificateDer<'_>],
    authorities: &[CertificateDer<'_>],
    now: SystemTime,
) -> Result<(), CertificateError> {
    let (first, intermediates) = chain.split_first().ok_or(CertificateError::Malformed)?;
    let certificate = EndEntityCert::try_from(first).map_err(|_| CertificateError::Malformed)?;
    let anchors =
        authorities.iter().filter_map(|authority| anchor_from_trusted_cert(authority).ok()).collect::<Vec<_>>();
    let now = UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).unwrap_or_default());
    certificate
        .verify_for_usage(SIGNATURES.all, &anchors, intermediates, now, KeyUsage::client_auth(), None, None)
        .map(|_| ())
        .map_err(|error| CertificateError::NotVouchedFor(format!("{error:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::Key;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd};

    fn authority() -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate")
    }

    fn issue(
        authority: &CertifiedIssuer<'static, KeyPair>,
        usage: ExtendedKeyUsagePurpose,
    ) -> (Key, CertificateDer<'static>) {
        let key = Key::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "system:nodes");
        params.distinguished_name.push(DnType::CommonName, "system:node:a");
        (params.not_before, params.not_after) = (date_time_ymd(2024, 2, 29), date_time_ymd(2051, 3, 1));
        params.extended_key_usages = vec![usage];
        let certificate = params.signed_by(key.pair(), authority).expect("a certificate");
        (key, certificate.der().clone())
    }

    fn seconds(time: SystemTime) -> u64 {
        time.duration_since(UNIX_EPOCH).expect("later").as_secs()
    }

    #[test]
    fn fields_are_read() {
        let (key, der) = issue(&authority(), ExtendedKeyUsagePurpose::ClientAuth);
        let certificate = Certificate::parse(&der).expect("a certificate");
        assert_eq!(certificate.common_names, ["system:node:a"]);
        assert_eq!(certificate.organizations, ["system:nodes"]);
        assert_eq!(certificate.spki, key.spki());
        // `date -ud 2024-02-29 +%s`, and 2051-03-01, which is a GeneralizedTime.
        assert_eq!((seconds(certificate.not_before), seconds(certificate.not_after)), (1_709_164_800, 2_561_241_600));
        assert!((certificate.left(certificate.not_before) - 1.0).abs() < 1e-9);
        assert!(certificate.left(certificate.not_after) < 1e-9);
    }

    #[test]
    fn only_valid_client_certificates_of_the_authority_are_accepted() {
        let (ours, other) = (authority(), authority());
        let (_, der) = issue(&ours, ExtendedKeyUsagePurpose::ClientAuth);
        let certificate = Certificate::parse(&der).expect("a certificate");
        let now = certificate.not_before + Duration::from_secs(1);
        let verify = |der: &CertificateDer<'static>, authority: &CertifiedIssuer<'static, KeyPair>, now| {
            verify_client(std::slice::from_ref(der), &[authority.der().clone()], now)
        };
        assert_eq!(verify(&der, &ours, now), Ok(()));
        let refused = |result| matches!(result, Err(CertificateError::NotVouchedFor(_)));
        assert!(refused(verify(&der, &other, now)), "by another authority");
        assert!(refused(verify(&der, &ours, certificate.not_before - Duration::from_secs(1))), "too early");
        assert!(refused(verify(&der, &ours, certificate.not_after + Duration::from_secs(1))), "too late");
        let (_, server) = issue(&ours, ExtendedKeyUsagePurpose::ServerAuth);
        assert!(refused(verify(&server, &ours, now)), "a server's");
        assert_eq!(verify_client(&[], &[], now), Err(CertificateError::Malformed));
    }

    proptest! {
        #[test]
        fn mutated_certificates_never_panic(at in 0_usize..400, byte in any::<u8>(), cut in 0_usize..400) {
            let (_, der) = issue(&authority(), ExtendedKeyUsagePurpose::ClientAuth);
            let mut bytes = der.to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = Certificate::parse(&bytes);
            prop_assert!(Certificate::parse(&bytes[..cut % bytes.len()]).is_err());
        }
    }
}
