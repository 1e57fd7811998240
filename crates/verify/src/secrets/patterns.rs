//! What secrets look like, and where examples of them are allowed.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// The files in which a pattern is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// In every file.
    Anywhere,
    /// In files without NULs.
    Text,
    /// In files without NULs that contain settings rather than examples ([`EXAMPLES`]).
    Settings,
    /// At the beginning of a file.
    Start,
    /// In files whose path ends so.
    Named(&'static [&'static str]),
}

impl Scope {
    /// Whether it includes the file at `path`, which is text or not.
    pub(super) fn includes(self, path: &str, text: bool) -> bool {
        match self {
            Self::Anywhere | Self::Start => true,
            Self::Text => text,
            Self::Settings => text && !EXAMPLES.iter().any(|(prefix, _)| path.starts_with(prefix)),
            Self::Named(ends) => ends.iter().any(|end| path.ends_with(end)),
        }
    }
}

/// The form of a secret.
#[derive(Debug)]
pub(super) struct Pattern {
    /// What it is, as a finding names it.
    pub name: &'static str,
    pub scope: Scope,
    /// Without Unicode, `.` matches a newline. A match is at most 4 KiB long.
    pub regex: &'static str,
    /// Excludes accidental matches; gets the text of the group `value`, or the whole match.
    pub plausible: fn(&[u8]) -> bool,
}

const fn pattern(name: &'static str, scope: Scope, regex: &'static str) -> Pattern {
    Pattern { name, scope, regex, plausible: |_| true }
}

/// All patterns.
pub(super) const PATTERNS: [Pattern; 34] = [
    pattern(
        "a private key (PEM)",
        Scope::Anywhere,
        // Line ends may be escaped, as in JSON; lines may be indented, as in YAML; RFC 1421 headers
        // may come first.
        r"-----BEGIN (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----(?:\s|\\n|\\r){1,64}(?:[A-Za-z0-9-]{1,40}: [^\r\n]{1,200}\s{1,64}){0,8}[A-Za-z0-9+/=]{32}",
    ),
    pattern(
        "a private key (base64 of PEM)",
        Scope::Anywhere,
        // "-----BEGIN ", then "PRIVATE KEY", "RSA …", "EC …", "OPENSSH …", "ENCRYPTED …", "DSA …" or
        // "PGP …".
        "LS0tLS1CRUdJTi(?:BQUklWQVRFIEtFW|BSU0EgUFJJVkFURSBLRV|BFQyBQUklWQVRFIEtFW|BPUEVOU1NIIFBSSVZBVEUgS0VZ|BFTkNSWVBURUQgUFJJVkFURSBLRV|BEU0EgUFJJVkFURSBLRV|BQR1AgUFJJVkFURSBLRV)[A-Za-z0-9+/]{32}",
    ),
    pattern(
        "a private key (DER)",
        Scope::Start,
        // SEQUENCE, version, then an AlgorithmIdentifier (PKCS #8), a modulus (PKCS #1) or an octet
        // string (SEC 1: P-224 to P-521); or an AlgorithmIdentifier of PKCS #5 (encrypted PKCS #8).
        r"\A\x30(?:[\x00-\x7f]|\x81.|\x82..)(?:\x02\x01[\x00\x01](?:\x30.\x06.{3,9}|\x02\x81|\x02\x82|\x02\x41\x00|\x04[\x1c\x20\x30\x42])|\x30(?:[\x00-\x7f]|\x81.)\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x05)",
    ),
    pattern(
        "a key store (PKCS #12)",
        Scope::Start,
        // RFC 7292: SEQUENCE, version 3, then contents of the type "data".
        r"\A\x30(?:[\x00-\x7f]|\x81.|\x82..|\x83...|\x80)\x02\x01\x03\x30(?:[\x00-\x7f]|\x81.|\x82..|\x83...|\x80)\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01",
    ),
    pattern("a private key (OpenSSH)", Scope::Start, r"\Aopenssh-key-v1\x00"),
    pattern(
        "a private key (OpenPGP)",
        Scope::Start,
        // RFC 4880, 5.5.3: a packet of a secret key of version 4; or gpg-agent's S-expression.
        r"\A(?:(?:\x94.|\x95..|\xc5(?:[\x00-\xbf]|[\xc0-\xdf].))\x04.{4}[\x01\x11\x13\x16]|\([0-9]{2}:(?:protected-|shadowed-)?private-key|(?:[A-Z][A-Za-z-]{1,30}: [^\n]{1,200}\n){0,8}Key: \((?:protected-|shadowed-)?private-key)",
    ),
    pattern("a private key (PuTTY)", Scope::Text, r"Private-Lines: [0-9]{1,4}\r?\n[A-Za-z0-9+/=]{16}"),
    pattern(
        "a private key (SSH2)",
        Scope::Text,
        r"---- BEGIN SSH2 (?:ENCRYPTED )?PRIVATE KEY ----\r?\n[A-Za-z0-9+/=:]{8}",
    ),
    pattern("a private key (age)", Scope::Text, r"AGE-SECRET-KEY-(?:PQ-)?1[0-9A-Z]{58}"),
    pattern("a private key (JSON web key)", Scope::Settings, r#""d"\s{0,8}:\s{0,8}"[A-Za-z0-9_-]{42,1400}""#),
    pattern(
        "a WireGuard key",
        Scope::Text,
        r"(?:PrivateKey|PresharedKey|PRIVATE_KEY|private[_-]?key)[ \t]{0,8}[=:][ \t]{0,8}[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=",
    ),
    // What "wg genkey" prints is such a file.
    pattern("a key of 32 bytes (base64)", Scope::Start, r"\A[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=\s{0,2}\z"),
    pattern("a kubeconfig's client key", Scope::Text, r#"client-key-data["']?\s{0,4}:\s{0,4}["']?[A-Za-z0-9+/]{40}"#),
    Pattern {
        name: "a token",
        scope: Scope::Settings,
        // As in a kubeconfig; "token=" as in a command line or an environment file.
        regex: r#"(?i)(?:^|[\s{,;_-])["']?token["']?(?:[ \t]{0,8}:[ \t]{0,8}|=)["']?(?P<value>[A-Za-z0-9][A-Za-z0-9._~+/=-]{15,1000})"#,
        plausible: is_random,
    },
    Pattern {
        name: "a bootstrap token",
        scope: Scope::Text,
        regex: r"(?:^|[^A-Za-z0-9._/@+-])[a-z0-9]{6}\.(?P<value>[a-z0-9]{16})(?:$|[^A-Za-z0-9._/@+-])",
        plausible: is_random,
    },
    pattern(
        "a bootstrap token",
        Scope::Text,
        // Beside such a word it need not look random; in a Secret its parts are apart.
        r#"(?:(?:[Tt]oken|bootstrap)["']?(?:[ \t]{0,8}[:=][ \t]{0,8}|[ \t]{1,8})["']?[a-z0-9]{6}\.[a-z0-9]{16}(?:$|[^A-Za-z0-9._/@+-])|token-secret["']?[ \t]{0,8}:[ \t]{0,8}["']?(?:[a-z0-9]{16}|[A-Za-z0-9+/]{22}==)(?:$|["'\s]))"#,
    ),
    pattern(
        "a JSON web token",
        Scope::Anywhere,
        r"eyJ[A-Za-z0-9_-]{10,1024}\.eyJ[A-Za-z0-9_-]{10,2048}\.[A-Za-z0-9_-]{20,512}",
    ),
    pattern(
        "an access key",
        Scope::Text,
        r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}|\bgithub_pat_[A-Za-z0-9_]{60}|\bgl(?:pat|rt|dt|ptt|cbt)-[A-Za-z0-9_-]{20}|\bxox[abeoprs]-[0-9A-Za-z-]{10}|\bnpm_[A-Za-z0-9]{36}|\bhv[sbr]\.[A-Za-z0-9_-]{24}|\bdckr_pat_[A-Za-z0-9_-]{20}|\bpypi-AgE[A-Za-z0-9_-]{50}|\bdop_v1_[a-f0-9]{64}|\bAIza[A-Za-z0-9_-]{35}\b|\bGOCSPX-[A-Za-z0-9_-]{28}|\bsk_live_[A-Za-z0-9]{24}|\btskey-[a-z]{2,10}-[A-Za-z0-9]{6}",
    ),
    pattern(
        "a secret access key (AWS)",
        Scope::Text,
        r#"(?i)aws_?secret_?access_?key["']?\s{0,8}[=:]\s{0,8}["']?[A-Za-z0-9/+]{40}"#,
    ),
    pattern("a service account's key (Google Cloud)", Scope::Text, r#""private_key_id"\s{0,8}:\s{0,8}"[0-9a-f]{40}""#),
    pattern(
        "an account key (Azure)",
        Scope::Text,
        r"(?:AccountKey=[A-Za-z0-9+/]{86}==|SharedAccessKey=[A-Za-z0-9+/]{43}=)",
    ),
    pattern(
        "a key of encryption at rest",
        Scope::Settings,
        r#"(?m)^[ \t-]{0,40}secret:[ \t]{0,8}["']?[A-Za-z0-9+/]{43}="#,
    ),
    Pattern {
        name: "a registry's password",
        scope: Scope::Settings,
        // docker's config.json: base64 of NAME:PASSWORD.
        regex: r#""auth"\s{0,64}:\s{0,64}"(?P<value>[A-Za-z0-9+/]{4,2000}={0,2})""#,
        plausible: is_name_and_password,
    },
    pattern(
        "a registry's password",
        Scope::Settings,
        // docker's config.json, and that file in base64 in a Secret.
        r#""(?:identitytoken|registrytoken)"\s{0,64}:\s{0,64}"[A-Za-z0-9._~+/=-]{16}|\.dockerconfigjson["']?:\s{0,64}["']?e[A-Za-z0-9+/]{40}"#,
    ),
    pattern(
        "a registry's password",
        Scope::Named(&[".toml", "/registries.yaml"]),
        // Settings of containerd and k3s; the line is not a comment.
        r#"(?m)^[ \t]{0,64}(?:password|identity_?token|auth)[ \t]{0,8}[=:][ \t]{0,8}["']?[^"'\s#$\[{]{4}"#,
    ),
    pattern(
        "a header with credentials",
        Scope::Settings,
        // containerd's hosts.toml, curl's and wget's settings.
        r#"(?i)authorization["']?\s{0,8}[=:]\s{0,8}\[?\s{0,8}["']?(?:basic|bearer|token)\s{1,8}[A-Za-z0-9+/=._~-]{8}"#,
    ),
    pattern(
        "a header with credentials",
        Scope::Named(&["/hosts.toml"]),
        r#"(?im)^[ \t]{0,64}["']?(?:[a-z-]{0,40}(?:auth|token|key|secret|cookie)[a-z-]{0,40})["']?[ \t]{0,8}=[ \t]{0,8}\[?[ \t]{0,8}["'][^"'\n]{8}"#,
    ),
    Pattern {
        name: "a password (netrc)",
        scope: Scope::Settings,
        regex: r"(?:^|\n)[ \t]{0,64}(?:machine\s{1,64}\S{1,255}|default)(?:\s{1,64}(?:login|account)\s{1,64}\S{1,255}){0,2}\s{1,64}password\s{1,64}(?P<value>\S{1,255})",
        plausible: is_no_placeholder,
    },
    Pattern {
        name: "a URL with a password",
        scope: Scope::Settings,
        regex: r#"[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s/:@"'<>\\]{0,100}:(?P<value>[^\s/@"'<>\\]{1,200})@[A-Za-z0-9.\[-]"#,
        plausible: is_no_placeholder,
    },
    pattern(
        "a password's hash",
        Scope::Settings,
        // crypt(5): md5crypt, sha256crypt, sha512crypt and Apache's; bcrypt; yescrypt and scrypt.
        r"\$(?:[156]|apr1)\$(?:rounds=[0-9]{1,9}\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{22,86}|\$2[abxy]\$[0-9]{2}\$[./A-Za-z0-9]{53}|\$(?:g?y\$[./A-Za-z0-9]{1,40}\$|7\$[./A-Za-z0-9]{11})[./A-Za-z0-9]{0,86}\$[./A-Za-z0-9]{43}",
    ),
    pattern(
        "a password's hash",
        Scope::Named(&ACCOUNTS),
        // As above with any method, or DES: 13 characters, BSDi's with a leading underscore.
        r"(?m)^[^:\n]{1,64}:!{0,2}(?:\$[0-9a-z]{1,8}\$[^:\n]{8}|_?[./0-9A-Za-z]{13}(?:[./0-9A-Za-z]{6})?:)",
    ),
    pattern(
        "a password's hash",
        Scope::Named(&["etc/security/opasswd"]),
        r"(?m)^[^:\n]{1,64}:[0-9]{1,10}:[0-9]{1,10}:[^\s:]{13}",
    ),
    // shadow(5): with an empty field no password is asked for. An entry of NIS begins with a sign.
    pattern("an empty password", Scope::Named(&PASSWORDS), r"(?m)^[^:\n+-][^:\n]{0,63}::"),
    pattern(
        "a password (PostgreSQL)",
        Scope::Named(&["/.pgpass"]),
        r"(?m)^[^:#\n]{1,255}:[^:\n]{1,20}:[^:\n]{1,64}:[^:\n]{1,64}:[^\n]",
    ),
];

/// Databases of accounts with passwords in their second field, crypt(5), and their copies.
const ACCOUNTS: [&str; 8] = [
    "etc/passwd",
    "etc/passwd-",
    "etc/shadow",
    "etc/shadow-",
    "etc/group",
    "etc/group-",
    "etc/gshadow",
    "etc/gshadow-",
];

/// Those in which an empty field lets somebody in.
const PASSWORDS: [&str; 6] = ["etc/passwd", "etc/passwd-", "etc/shadow", "etc/shadow-", "etc/gshadow", "etc/gshadow-"];

/// Directories of packages with examples of secrets, which [`Scope::Settings`] leaves out, and why.
/// Nothing on a node reads settings from there, and keys are found there, too.
const EXAMPLES: [(&str, &str); 12] = [
    ("usr/share/doc/", "examples of settings"),
    ("usr/share/man/", "manual pages"),
    ("usr/share/info/", "manuals"),
    ("usr/share/locale/", "translations of messages with examples"),
    ("usr/share/bash-completion/", "programs that name options such as token="),
    ("usr/share/zsh/", "programs that name options such as token="),
    ("usr/share/perl/", "documentation in the modules of Perl, such as that of Net::Netrc"),
    ("usr/share/perl5/", "documentation in the modules of Perl"),
    ("usr/lib/x86_64-linux-gnu/perl", "documentation in the modules of Perl"),
    ("usr/lib/aarch64-linux-gnu/perl", "documentation in the modules of Perl"),
    ("usr/lib/python3", "documentation in the modules of Python, such as that of urllib.request"),
    ("usr/src/", "sources of the kernel and of modules"),
];

/// Components of paths below `usr/` whose files are test data, with keys that protect nothing.
const TEST_DATA: [(&str, &str); 4] = [
    ("test", "the tests of Python's standard library contain servers' keys"),
    ("tests", "so do those of Python's packages"),
    ("testdata", "the name that Go uses"),
    ("test-data", "the name that other projects use"),
];

/// Files of packages that contain keys which protect nothing, by the beginning of their paths.
const KNOWN: [(&str, &str); 2] = [
    ("usr/lib/x86_64-linux-gnu/libgnutls.so.", "the keys with which GnuTLS tests itself"),
    ("usr/lib/aarch64-linux-gnu/libgnutls.so.", "the keys with which GnuTLS tests itself"),
];

/// Whether the file at `path` is test data of a package.
pub(super) fn is_test_data(path: &str) -> bool {
    if KNOWN.iter().any(|(prefix, _)| path.starts_with(prefix)) {
        return true;
    }
    let Some((directories, _)) = path.strip_prefix("usr/").and_then(|below| below.rsplit_once('/')) else {
        return false;
    };
    directories.split('/').any(|part| TEST_DATA.iter().any(|(name, _)| *name == part))
}

/// Whether it has both letters and digits, as all but one in two hundred random strings of 16
/// characters: this excludes words, numbers and dates.
fn is_random(value: &[u8]) -> bool {
    let is_path = value.contains(&b'/') && value.contains(&b'.');
    !is_path && value.iter().any(u8::is_ascii_digit) && value.iter().any(u8::is_ascii_alphabetic)
}

/// Whether it is base64 of printable text with a colon.
fn is_name_and_password(value: &[u8]) -> bool {
    let decoded = BASE64_STANDARD.decode(value).unwrap_or_default();
    decoded.contains(&b':') && std::str::from_utf8(&decoded).is_ok_and(|text| !text.contains(char::is_control))
}

/// Whether it is a password and not a variable or a word that stands for one.
fn is_no_placeholder(value: &[u8]) -> bool {
    const WORDS: [&[u8]; 12] = [
        b"password",
        b"passwd",
        b"pass",
        b"passw",
        b"pwd",
        b"pw",
        b"secret",
        b"token",
        b"pw0rd",
        b"port",
        b"mozilla",
        b"x",
    ];
    let varies = |byte: &u8| b"$%{}<>*[]()`".contains(byte);
    let word = value.trim_ascii_end().to_ascii_lowercase();
    // "xxx", "...", "***"
    let repeats = value.windows(2).all(|pair| pair[0] == pair[1]);
    !repeats && !value.first().is_some_and(varies) && !WORDS.contains(&word.as_slice())
}
