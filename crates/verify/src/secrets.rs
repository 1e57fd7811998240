//! Searches for secrets, which must never be in an image: everyone with the image would have them.
//!
//! To avoid false positives, a pattern must have the full form of a secret, and in binaries only
//! those patterns count that programs do not have among their strings. A PEM header without a key
//! after it is a constant that OpenSSL and Go use to recognize keys, not a key.

use kiln_image::listing::Part;
use regex::bytes::{Regex, RegexBuilder};

/// The bytes of a part that are searched again together with the next part: no pattern needs more
/// to match.
const OVERLAP: usize = 4 << 10;
/// A file without a NUL in its first bytes, up to this number, is text.
const TEXT_PROBE: usize = 8 << 10;
/// The most findings that are kept.
const MAX_FINDINGS: usize = 10_000;

/// The files in which a pattern is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// In every file.
    Anywhere,
    /// In files without NULs.
    Text,
    /// At the beginning of a file.
    Start,
    /// In the databases of accounts.
    Accounts,
}

/// The patterns: name, scope, regular expression, and a check that excludes accidental matches.
type Pattern = (&'static str, Scope, &'static str, fn(&[u8]) -> bool);

const PATTERNS: [Pattern; 8] = [
    (
        "a private key (PEM)",
        Scope::Anywhere,
        // Line ends may be escaped, as in JSON; RFC 1421 headers may come first.
        r"-----BEGIN (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----(?:\s|\\n|\\r){1,8}(?:[A-Za-z0-9-]{1,40}: [^\r\n]{1,200}\s{1,4}){0,8}[A-Za-z0-9+/=]{32}",
        |_| true,
    ),
    (
        "a private key (base64 of PEM)",
        Scope::Anywhere,
        // "-----BEGIN ", then "PRIVATE KEY", "RSA …", "EC …", "OPENSSH …" or "ENCRYPTED …".
        "LS0tLS1CRUdJTi(?:BQUklWQVRFIEtFW|BSU0EgUFJJVkFURSBLRV|BFQyBQUklWQVRFIEtFW|BPUEVOU1NIIFBSSVZBVEUgS0VZ|BFTkNSWVBURUQgUFJJVkFURSBLRV)[A-Za-z0-9+/]{32}",
        |_| true,
    ),
    (
        "a private key (DER)",
        Scope::Start,
        // SEQUENCE, version, then an AlgorithmIdentifier (PKCS #8), a modulus (PKCS #1) or an octet
        // string (SEC 1).
        r"\A\x30(?:[\x00-\x7f]|\x81.|\x82..)\x02\x01[\x00\x01](?:\x30.\x06.{3,9}|\x02\x81|\x02\x82|\x04\x20)",
        |_| true,
    ),
    ("a kubeconfig's client key", Scope::Text, r#"client-key-data["']?\s{0,4}:\s{0,4}["']?[A-Za-z0-9+/]{40}"#, |_| {
        true
    }),
    (
        "a bootstrap token",
        Scope::Text,
        r"(?:^|[^A-Za-z0-9._/@+-])[a-z0-9]{6}\.[a-z0-9]{16}(?:$|[^A-Za-z0-9._/@+-])",
        is_random,
    ),
    (
        "a JSON web token",
        Scope::Anywhere,
        r"eyJ[A-Za-z0-9_-]{10,1024}\.eyJ[A-Za-z0-9_-]{10,2048}\.[A-Za-z0-9_-]{20,512}",
        |_| true,
    ),
    (
        "an access key",
        Scope::Text,
        r"\b(?:(?:AKIA|ASIA)[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60})\b",
        |_| true,
    ),
    ("a password's hash", Scope::Accounts, r"(?m)^[^:\n]{1,64}:!?\$[0-9a-z]{1,8}\$[^:\n]{8}", |_| true),
];

/// Files with passwords in their second field, crypt(5).
const ACCOUNTS: [&str; 6] = ["etc/passwd", "etc/shadow", "etc/group", "etc/gshadow", "etc/passwd-", "etc/shadow-"];

/// Whether it has both letters and digits, as all but one in two hundred random strings of 16
/// characters: this excludes words, numbers and dates.
fn is_random(matched: &[u8]) -> bool {
    let secret = matched.split(|byte| *byte == b'.').nth(1).unwrap_or_default();
    secret.iter().any(u8::is_ascii_digit) && secret.iter().any(u8::is_ascii_lowercase)
}

/// Searches files part by part.
#[derive(Debug)]
pub(super) struct Scanner {
    patterns: Vec<(Pattern, Regex)>,
    /// The end of the last part, followed by the current part.
    window: Vec<u8>,
    text: bool,
    /// Patterns already found in this file, as bits.
    found: u32,
    findings: Vec<String>,
}

impl Scanner {
    pub(super) fn new() -> Self {
        let compiled = |pattern: Pattern| {
            let regex = RegexBuilder::new(pattern.2).unicode(false).dot_matches_new_line(true).build();
            // The patterns are constants, and a test compiles them.
            regex.ok().map(|regex| (pattern, regex))
        };
        let patterns = PATTERNS.into_iter().filter_map(compiled).collect();
        Self { patterns, window: Vec::new(), text: false, found: 0, findings: Vec::new() }
    }

    /// Searches the next part of the file at `path`; parts come in order, the first with offset 0.
    pub(super) fn scan(&mut self, path: &str, part: Part<'_>) {
        if part.offset == 0 {
            self.window.clear();
            self.found = 0;
            self.text = !part.bytes.iter().take(TEXT_PROBE).any(|byte| *byte == 0);
        }
        let kept = self.window.len().min(OVERLAP);
        self.window.drain(..self.window.len() - kept);
        self.window.extend_from_slice(part.bytes);
        let start = part.offset - kept as u64;
        for (bit, ((name, scope, _, plausible), regex)) in self.patterns.iter().enumerate() {
            let wanted = match scope {
                Scope::Anywhere => true,
                Scope::Text => self.text,
                Scope::Start => part.offset == 0,
                Scope::Accounts => ACCOUNTS.contains(&path),
            };
            if !wanted || self.found & 1 << bit != 0 || self.findings.len() >= MAX_FINDINGS {
                continue;
            }
            if let Some(found) = regex.find_iter(&self.window).find(|found| plausible(found.as_bytes())) {
                self.found |= 1 << bit;
                self.findings.push(format!("/{path} contains {name} at byte {}", start + found.start() as u64));
            }
        }
    }

    /// Returns the findings.
    pub(super) fn finish(self) -> Vec<String> {
        self.findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(path: &str, bytes: &[u8], part: usize) -> Vec<String> {
        let mut scanner = Scanner::new();
        for (number, bytes) in bytes.chunks(part).enumerate() {
            scanner.scan(path, Part { bytes, offset: (number * part) as u64 });
        }
        scanner.finish()
    }

    fn found(path: &str, text: &str) -> Vec<String> {
        scan(path, text.as_bytes(), 1 << 20)
    }

    const BODY: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg";

    #[test]
    fn every_pattern_compiles() {
        assert_eq!(Scanner::new().patterns.len(), PATTERNS.len());
    }

    #[test]
    fn secrets_are_found_in_every_form() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let pem = key.serialize_pem();
        let encoded = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, &pem);
        let jwt = "eyJhbGciOiJSUzI1NiIsImtpZCI6IiJ9.eyJpc3MiOiJrdWJlcm5ldGVzL3NlcnZpY2VhY2NvdW50In0.c2lnbmF0dXJlc2lnbmF0dXJlc2ln";
        for (text, what) in [
            (pem.clone(), "a private key (PEM)"),
            (format!("{{\"private_key\": {:?}}}", pem), "a private key (PEM)"),
            (
                format!(
                    "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n{BODY}\n"
                ),
                "a private key (PEM)",
            ),
            (format!("-----BEGIN OPENSSH PRIVATE KEY-----\r\n{BODY}\r\n"), "a private key (PEM)"),
            (format!("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{BODY}\n"), "a private key (PEM)"),
            (format!("data:\n  tls.key: {encoded}\n"), "a private key (base64 of PEM)"),
            (format!("    client-key-data: {encoded}\n"), "a kubeconfig's client key"),
            ("token: abcdef.0123456789abcdef\n".into(), "a bootstrap token"),
            ("--token=abcdef.0123456789abcdef".into(), "a bootstrap token"),
            ("{\"token\":\"abcdef.0123456789abcdef\"}".into(), "a bootstrap token"),
            (jwt.to_owned(), "a JSON web token"),
            ("aws_access_key_id = AKIAIOSFODNN7EXAMPLE\n".into(), "an access key"),
        ] {
            assert!(found("etc/x", &text).iter().any(|line| line.contains(what)), "{what} in {text}");
        }
        let der = scan("etc/kubernetes/key.der", &key.serialize_der(), 1 << 20);
        assert_eq!(der, ["/etc/kubernetes/key.der contains a private key (DER) at byte 0"]);
        assert_eq!(found("etc/shadow", "a:*:1:::::\nroot:$y$j9T$abcdefgh$x:1:::::\n").len(), 1);
    }

    #[test]
    fn strings_that_only_look_like_secrets_are_not_found() {
        for text in [
            "-----BEGIN RSA PRIVATE KEY-----\0-----END RSA PRIVATE KEY-----",
            "-----BEGIN %s PRIVATE KEY-----\n",
            "-----BEGIN CERTIFICATE-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg\n",
            "certificate-authority-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUJlRENDQVI2Z0F3SUJBZ0lCQVRBS0JnZ3Foa2pPUFFR",
            "client-key: /var/lib/kubelet/pki/kubelet-client-current.pem",
            "client-key-data: \"\"",
            "system.responsibilities",
            "123456.1234567890123456",
            "libfoo.0123456789abcdef.so",
            "see /usr/share/abcdef.0123456789abcdef",
            "root:*:1:::::\nroot:!:1:::::\n",
        ] {
            assert_eq!(found("etc/shadow", text), [""; 0], "{text}");
        }
        // A program that contains a token's pattern.
        assert_eq!(found("usr/bin/kubeadm", "\0 abcdef.0123456789abcdef "), [""; 0]);
    }

    #[test]
    fn a_secret_across_parts_is_found_once_with_its_offset() {
        let text = format!("{}\n-----BEGIN PRIVATE KEY-----\n{BODY}{BODY}\n{}", "x".repeat(9000), "y".repeat(9000));
        for part in [5000, 8192, 9010, 9050, 1 << 20] {
            assert_eq!(
                scan("a", text.as_bytes(), part),
                ["/a contains a private key (PEM) at byte 9001"],
                "parts of {part}"
            );
        }
    }
}
