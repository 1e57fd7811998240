//! Mutated signatures and keyrings by the hundred, judged by gpgv (GnuPG) and sqv (Sequoia, which apt
//! uses since Debian 13): kiln trusts no signature that gpgv rejects.

use crate::repository::gnupg::{self, gpgv};
use jiff::Timestamp;
use kiln_source::deb::keyring::Keyring;
use kiln_source::deb::signature;
use kiln_testing::tools::tool;
use std::path::Path;

/// A certificate, and a text that its subkey signed. Not made anew, so that the mutations are always the
/// same.
const KEYS: &str = include_str!("../../../src/deb/testdata/archive.asc");
const MESSAGE: &str = include_str!("../../../src/deb/testdata/message.asc");
const BEGIN: &str = "-----BEGIN PGP SIGNATURE-----";
const END: &str = "-----END PGP SIGNATURE-----";

/// Whether kiln trusts a message, and the text it reads.
fn kiln(message: &str, keyring: &Path) -> Option<String> {
    let keyring = Keyring::from_file(keyring).ok()?;
    Some(signature::verify(message.as_bytes(), &keyring, Timestamp::now()).ok()?.text)
}

/// Whether sqv trusts the packets of a signature over the text of a message. It takes them apart from
/// the text, which is then as RFC 9580, section 7.2, has it hashed: with CRLF, without blanks at the
/// ends of lines, and without the last line's end.
fn sqv(text: &str, packets: &[u8], keyring: &Path) -> bool {
    let directory = tempfile::tempdir().expect("a directory");
    let (signature, file) = (directory.path().join("signature"), directory.path().join("text"));
    let lines: Vec<&str> = text.lines().map(|line| line.trim_end_matches([' ', '\t'])).collect();
    std::fs::write(&file, lines.join("\r\n")).expect("written");
    std::fs::write(&signature, packets).expect("written");
    let output = tool("sqv", "sqv").arg("--keyring").arg(keyring).args([&signature, &file]).output().expect("sqv runs");
    output.status.success()
}

/// The packets in an armored block.
fn dearmored(block: &str) -> Vec<u8> {
    let mut packets = Vec::new();
    std::io::Read::read_to_end(&mut pgp::armor::Dearmor::new(block.as_bytes()), &mut packets).expect("armor");
    packets
}

/// The message with other packets in its signature.
fn with_packets(message: &str, packets: &[u8]) -> String {
    use base64::Engine as _;
    let text = &message[..message.find(BEGIN).expect("a signature")];
    let armored = base64::engine::general_purpose::STANDARD.encode(packets);
    let lines: Vec<&str> =
        armored.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("ASCII")).collect();
    let sum = base64::engine::general_purpose::STANDARD.encode(&crc24(packets).to_be_bytes()[1..]);
    format!("{text}{BEGIN}\n\n{}\n={sum}\n{END}\n", lines.join("\n"))
}

/// RFC 9580, section 6.1.1.
fn crc24(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x00b7_04ce, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 16, |crc, _| {
            let shifted = crc << 1;
            if shifted & 0x0100_0000 == 0 { shifted } else { shifted ^ 0x0186_4cfb }
        })
    })
}

/// `bytes`, each time with one damage, the same in every run.
fn damaged(bytes: &[u8], count: usize) -> Vec<Vec<u8>> {
    let mut state = bytes.len() as u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("31 bits") % below
    };
    let mut found = Vec::new();
    for number in 0..count {
        let (mut bytes, at) = (bytes.to_vec(), next(bytes.len()));
        match number % 8 {
            0 => bytes.truncate(at),
            1 => {
                bytes.splice(at..at, [0, 0xff, 0xc2, 0x88]);
            }
            2 => {
                bytes.remove(at);
            }
            3 => {
                let start = bytes.clone();
                bytes.extend(&start[..at]);
            }
            _ => bytes[at] ^= 1 << next(8),
        }
        found.push(bytes);
    }
    found
}

/// Verdicts, counted.
#[derive(Debug, Default)]
struct Count {
    judged: usize,
    /// Trusted by kiln.
    trusted: usize,
    /// Trusted by gpgv as well.
    by_gpgv: usize,
    /// Trusted by sqv as well. It uses no certificate of a keyring in which one is damaged; kiln and
    /// gpgv leave that one out. Since Debian 13 it also rejects numbers that are written with a wrong
    /// length, whatever their value.
    by_sqv: usize,
    /// Trusted by both others, but not by kiln.
    stricter: usize,
}

impl Count {
    fn judge(&mut self, what: &str, message: &str, packets: &[u8], text: &str, keyring: &Path) {
        let ours = kiln(message, keyring);
        let (gpgv, sqv) = (gpgv(message.as_bytes(), keyring), sqv(text, packets, keyring));
        self.judged += 1;
        match ours {
            Some(read) => {
                self.trusted += 1;
                assert_eq!(read, text, "{what}: another text");
                self.by_gpgv += usize::from(gpgv.is_ok());
                if let Err(why) = gpgv {
                    println!("{what}: kiln trusts it, sqv {}, gpgv says {why}", if sqv { "too" } else { "does not" });
                }
                self.by_sqv += usize::from(sqv);
            }
            None => self.stricter += usize::from(gpgv.is_ok() && sqv),
        }
    }
}

#[test]
fn no_signature_is_trusted_that_gpgv_rejects() {
    let directory = tempfile::tempdir().expect("a directory");
    let keys = dearmored(KEYS);
    let keyring = gnupg::keyring_file(&directory, &keys);
    let text = kiln(MESSAGE, &keyring).expect("signed");
    let packets = dearmored(&MESSAGE[MESSAGE.find(BEGIN).expect("a signature")..]);
    assert_eq!(dearmored(&with_packets(MESSAGE, &packets)[MESSAGE.find(BEGIN).expect("a signature")..]), packets);

    let mut count = Count::default();
    count.judge("as signed", MESSAGE, &packets, &text, &keyring);
    assert_eq!((count.trusted, count.by_sqv), (1, 1), "{count:?}");
    for (number, packets) in damaged(&packets, 160).into_iter().enumerate() {
        count.judge(&format!("signature {number}"), &with_packets(MESSAGE, &packets), &packets, &text, &keyring);
    }
    let mutated = directory.path().join("mutated.gpg");
    assert_eq!(count.trusted, count.by_gpgv, "{count:?}");
    for (number, bytes) in damaged(&keys, 120).into_iter().enumerate() {
        std::fs::write(&mutated, bytes).expect("written");
        count.judge(&format!("keyring {number}"), MESSAGE, &packets, &text, &mutated);
    }
    println!("{count:?}");
    assert!(count.judged > 280 && count.trusted > 20, "{count:?}");
    // A key's number written with a wrong length has the value that its owner signed: gpgv calls it bad,
    // kiln reads it.
    assert!(count.trusted - count.by_gpgv <= 3, "{count:?}");
    // kiln may be stricter, but a keyring that others can use should mostly be usable.
    assert!(count.stricter * 10 < count.judged, "{count:?}");
}
