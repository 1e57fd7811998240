//! Mutated signatures and keyrings by the hundred, judged by gpgv (GnuPG) and sqv (Sequoia, which apt
//! uses since Debian 13): kiln trusts no signature that either of them rejects.

use crate::repository::gnupg::{self, Gnupg, gpgv};
use crate::repository::mirror;
use jiff::Timestamp;
use kiln_source::deb::keyring::Keyring;
use kiln_source::deb::signature;
use kiln_testing::tools::tool;
use std::path::Path;

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

/// The packets in the armor of a message's signature.
fn packets_of(message: &str) -> Vec<u8> {
    let block = &message[message.find(BEGIN).expect("a signature")..];
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

/// Judges of messages, counted.
#[derive(Debug, Default)]
struct Count {
    judged: usize,
    trusted: usize,
    /// Trusted by both others alone.
    stricter: usize,
}

impl Count {
    /// If the keyring is not `whole`, sqv uses none of its certificates; kiln and gpgv leave out those
    /// that are damaged.
    fn judge(&mut self, what: &str, message: &str, packets: &[u8], text: &str, keyring: &Path, whole: bool) {
        let ours = kiln(message, keyring);
        let (gpgv, sqv) = (gpgv(message.as_bytes(), keyring), sqv(text, packets, keyring));
        self.judged += 1;
        match ours {
            Some(read) => {
                self.trusted += 1;
                assert_eq!(read, text, "{what}: another text");
                assert!(gpgv.is_ok(), "{what}: kiln trusts it, gpgv says {gpgv:?}");
                assert!(sqv || !whole, "{what}: kiln trusts it, sqv does not");
            }
            None => self.stricter += usize::from(gpgv.is_ok() && sqv),
        }
    }
}

#[test]
fn nothing_is_trusted_that_gpgv_or_sqv_rejects() {
    let directory = tempfile::tempdir().expect("a directory");
    let keys = Gnupg::with_key("Test Archive <test@example.org>");
    keys.generate("Another <other@example.org>", "rsa2048", "sign", "never");
    let text = "Origin: Test\nSuite: sid\nSHA256:\n 0123 1 main/binary-amd64/Packages\n";
    let own = String::from_utf8(keys.sign(text)).expect("UTF-8");
    let own_keys = keys.export();
    let own_ring = gnupg::keyring_file(&directory, &own_keys);
    let real_ring = mirror::keyring_path();
    let real = String::from_utf8(mirror::in_release("trixie-updates")).expect("UTF-8");
    let real_text = kiln(&real, &real_ring).expect("Debian's own");

    let mut count = Count::default();
    for (message, text, ring, mutations) in [(&own, text, &own_ring, 96), (&real, real_text.as_str(), &real_ring, 48)] {
        let packets = packets_of(message);
        count.judge("as signed", message, &packets, text, ring, true);
        assert_eq!(with_packets(message, &packets).lines().count(), message.lines().count(), "armored alike");
        for (number, packets) in damaged(&packets, mutations).into_iter().enumerate() {
            count.judge(&format!("signature {number}"), &with_packets(message, &packets), &packets, text, ring, true);
        }
    }
    let before = count.trusted;
    assert!(before >= 2, "{count:?}");
    let mutated = directory.path().join("mutated.gpg");
    let packets = packets_of(&own);
    for (number, bytes) in damaged(&own_keys, 96).into_iter().enumerate() {
        std::fs::write(&mutated, bytes).expect("written");
        count.judge(&format!("keyring {number}"), &own, &packets, text, &mutated, false);
    }
    println!("{count:?}");
    assert!(count.judged > 200 && count.trusted > before, "{count:?}");
    // kiln may be stricter, but a keyring that others can use should mostly be usable.
    assert!(count.stricter * 4 < count.judged, "{count:?}");
}
