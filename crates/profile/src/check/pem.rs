//! Certificates of certificate authorities (RFC 5280) in PEM (RFC 7468).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::io::Read as _;
use std::path::Path;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};
use x509_cert::{Certificate, Version};

/// Size limit of a file in bytes.
const MAX: u64 = 1 << 20;

/// The certificates in a file, see [`certificates`].
pub(super) fn read(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let read = kiln_file::open(path).and_then(|file| file.take(MAX).read_to_string(&mut text));
    read.map_err(|error| format!("reading {}: {error}", path.display()))?;
    certificates(&text).map_err(|why| format!("{}: {why}", path.display()))
}

/// The certificates in `text`, without the text between them.
pub(super) fn certificates(text: &str) -> Result<String, String> {
    let mut found = String::new();
    let mut block: Option<String> = None;
    for line in text.lines().map(str::trim) {
        if let Some(label) = line.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----")) {
            if label.contains("PRIVATE KEY") {
                return Err(
                    "has a private key; what is in an image is not secret; give the certificate alone".to_owned()
                );
            }
            if label != "CERTIFICATE" {
                return Err(format!("has a block {label:?}; only certificates are allowed"));
            }
            block = Some(String::new());
        } else if line == "-----END CERTIFICATE-----" {
            let body = block.take().ok_or("has END CERTIFICATE without BEGIN CERTIFICATE")?;
            let der =
                STANDARD.decode(&body).map_err(|error| format!("has a certificate that is not base64: {error}"))?;
            authority(&der)?;
            found.push_str("-----BEGIN CERTIFICATE-----\n");
            for line in STANDARD.encode(der).as_bytes().chunks(64) {
                found.push_str(&String::from_utf8_lossy(line));
                found.push('\n');
            }
            found.push_str("-----END CERTIFICATE-----\n");
        } else if let Some(block) = &mut block {
            block.push_str(line);
        }
    }
    match (block, found.is_empty()) {
        (Some(_), _) => Err("has BEGIN CERTIFICATE without END CERTIFICATE".to_owned()),
        (None, true) => Err("has no certificate (\"-----BEGIN CERTIFICATE-----\")".to_owned()),
        (None, false) => Ok(found),
    }
}

/// Rejects a certificate that may not sign others, by the rules of Go (crypto/x509,
/// `CheckSignatureFrom`), which follow RFC 5280, sections 4.2.1.3 and 4.2.1.9. Certificates of
/// version 1 have no extensions and are accepted.
fn authority(der: &[u8]) -> Result<(), String> {
    let Certificate { tbs_certificate: certificate, .. } =
        Certificate::from_der(der).map_err(|error| format!("has a certificate that cannot be read: {error}"))?;
    let subject = || {
        let subject: String = certificate.subject.to_string().chars().filter(|c| !c.is_control()).take(80).collect();
        format!("{subject:?}")
    };
    let broken = |error| format!("has a certificate of {}, whose extensions are broken: {error}", subject());
    let constraints = certificate.get::<BasicConstraints>().map_err(broken)?;
    let usage = certificate.get::<KeyUsage>().map_err(broken)?;
    let is_authority = match constraints {
        Some((_, constraints)) => constraints.ca,
        None => certificate.version != Version::V3,
    };
    if !is_authority {
        return Err(format!(
            "has the certificate of {}, which is not an authority (basicConstraints without CA:TRUE), so nothing that it signs is trusted; give the authority's own, kubeadm's is /etc/kubernetes/pki/ca.crt",
            subject()
        ));
    }
    if usage.is_some_and(|(_, usage)| !usage.key_cert_sign()) {
        return Err(format!(
            "has the certificate of {}, which may not sign others (keyUsage without keyCertSign); give that of the authority that signs for the cluster",
            subject()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyUsagePurpose};

    fn ca() -> CertificateParams {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    }

    #[test]
    fn a_certificate_that_is_not_an_authority_is_rejected() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let verdict = |params: CertificateParams| certificates(&params.self_signed(&key).expect("signed").pem());
        let mut explicit = ca();
        explicit.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        assert!(verdict(ca()).is_ok() && verdict(explicit).is_ok());
        let mut server = CertificateParams::default();
        let no_authority = |why: String| why.contains("\"CN=rcgen self signed cert\", which is not an authority");
        assert!(verdict(server.clone()).is_err_and(no_authority));
        server.is_ca = IsCa::ExplicitNoCa;
        assert!(verdict(server).is_err_and(no_authority));
        let mut usage = ca();
        usage.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        assert!(verdict(usage).is_err_and(|why| why.contains("keyUsage without keyCertSign")));
    }

    #[test]
    fn certificates_are_extracted_from_surrounding_text() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let pem = ca().self_signed(&key).expect("signed").pem();
        let taken = certificates(&format!("# ours\r\n{}\n{pem}", pem.replace('\n', "\r\n"))).expect("two");
        assert_eq!(taken, format!("{pem}{pem}").replace('\r', ""));
        for bad in ["", "x", &key.serialize_pem(), &pem.replace("-----END", "--"), &pem.replace("MI", "!!")] {
            assert!(certificates(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_damaged_certificate_is_read_without_a_panic(at in 0_usize..400, value: u8) {
            let key = rcgen::KeyPair::generate().expect("a key");
            let mut der = ca().self_signed(&key).expect("signed").der().to_vec();
            let at = at % der.len();
            der[at] = value;
            authority(&der).ok();
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in "(-----BEGIN CERTIFICATE-----|-----END CERTIFICATE-----|\n|[A-Za-z=+/]{0,9}|.){0,12}") {
            certificates(&text).ok();
        }
    }
}
