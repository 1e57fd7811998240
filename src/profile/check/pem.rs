//! Certificates in PEM (RFC 7468).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Larger files hold something else.
const MAX: u64 = 1 << 20;

/// The certificates in a file, as [`certificates`].
pub fn read(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX).read_to_string(&mut text));
    read.map_err(|error| format!("reading {}: {error}", path.display()))?;
    certificates(&text).map_err(|why| format!("{}: {why}", path.display()))
}

/// The certificates in `text`, without what people write between them.
pub fn certificates(text: &str) -> Result<String, String> {
    let mut found = String::new();
    let mut block: Option<String> = None;
    for line in text.lines().map(str::trim) {
        if let Some(label) = line.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----")) {
            if label.contains("PRIVATE KEY") {
                return Err(
                    "has a private key; what is in an image is no secret, give the certificate alone".to_owned()
                );
            }
            if label != "CERTIFICATE" {
                return Err(format!("has a block {label:?}, and only certificates belong there"));
            }
            block = Some(String::new());
        } else if line == "-----END CERTIFICATE-----" {
            let body = block.take().ok_or("has an end without its beginning")?;
            let der =
                STANDARD.decode(&body).map_err(|error| format!("has a certificate that is no base64: {error}"))?;
            if der.first() != Some(&0x30) {
                return Err("has a certificate that is none: it does not begin as DER does".to_owned());
            }
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
        (Some(_), _) => Err("has a certificate without an end".to_owned()),
        (None, true) => Err("has no certificate (\"-----BEGIN CERTIFICATE-----\")".to_owned()),
        (None, false) => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn certificates_are_taken_out_of_their_surroundings() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let pem = rcgen::CertificateParams::default().self_signed(&key).expect("signed").pem();
        let taken = certificates(&format!("# ours\r\n{}\n{pem}", pem.replace('\n', "\r\n"))).expect("two");
        assert_eq!(taken, format!("{pem}{pem}").replace('\r', ""));
        for bad in ["", "x", &key.serialize_pem(), &pem.replace("-----END", "--"), &pem.replace("MI", "!!")] {
            assert!(certificates(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "(-----BEGIN CERTIFICATE-----|-----END CERTIFICATE-----|\n|[A-Za-z=+/]{0,9}|.){0,12}") {
            certificates(&text).ok();
        }
    }
}
