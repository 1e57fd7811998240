//! Secrets that must be found, and what only looks like one.

use super::*;

fn scan(path: &str, bytes: &[u8], part: usize) -> Vec<String> {
    let mut scanner = Scanner::new();
    for (number, bytes) in bytes.chunks(part).enumerate() {
        scanner.scan(path, Part { bytes, offset: (number * part) as u64 });
    }
    scanner.finish().into_iter().map(|finding| format!("/{} {}", finding.path, finding.what)).collect()
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
    let jwt =
        "eyJhbGciOiJSUzI1NiIsImtpZCI6IiJ9.eyJpc3MiOiJrdWJlcm5ldGVzL3NlcnZpY2VhY2NvdW50In0.c2lnbmF0dXJlc2lnbmF0dXJlc2ln";
    for (text, what) in [
        (pem.clone(), "a private key (PEM)"),
        (format!("{{\"private_key\": {:?}}}", pem), "a private key (PEM)"),
        (
            format!("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n{BODY}\n"),
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

/// Of each kind one, as it is found on nodes: path, contents, and what the finding calls it.
fn planted() -> Vec<(&'static str, String, &'static str)> {
    let random = "kQ7fZt0mW3xR9bYc5dNvHs2jPgLq8uAe";
    let key32 = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
    let hash = "$6$rounds=5000$saltsalt$".to_owned() + &"aB3./".repeat(17) + "x";
    let auth = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, "robot:hunter2hunter2");
    vec![
        (
            "root/.docker/config.json",
            format!("{{\n\t\"auths\": {{\n\t\t\"registry.example\": {{\n\t\t\t\"auth\": \"{auth}\"\n\t\t}}}}}}"),
            "a registry's password",
        ),
        (
            "var/lib/kubelet/config.json",
            format!("{{\"auths\":{{\"r\":{{\"identitytoken\":\"{random}\"}}}}}}"),
            "a registry's password",
        ),
        (
            "etc/containerd/config.toml",
            "[plugins.cri.registry.configs.\"r.example\".auth]\n  username = \"u\"\n  password = \"hunter2\"\n".into(),
            "a registry's password",
        ),
        (
            "etc/containerd/certs.d/r.example/hosts.toml",
            format!("[host.\"https://r.example\".header]\n  authorization = \"Basic {auth}\"\n"),
            "a header with credentials",
        ),
        (
            "etc/containerd/certs.d/r.example/hosts.toml",
            format!("[host.\"https://r.example\".header]\n  x-custom-token = [\"{random}\"]\n"),
            "a header with credentials",
        ),
        (
            "etc/apt/auth.conf.d/mirror.conf",
            "machine deb.mirror.example\nlogin robot\npassword hunter2\n".into(),
            "a password (netrc)",
        ),
        ("root/.netrc", "machine git.example login robot password hunter2\n".into(), "a password (netrc)"),
        ("etc/kubernetes/admin.conf", format!("users:\n- name: admin\n  user:\n    token: {random}\n"), "a token"),
        ("etc/default/join", format!("K3S_TOKEN={random}\n"), "a token"),
        (
            "etc/wireguard/wg0.conf",
            format!("[Interface]\nAddress = 10.0.0.1/24\nPrivateKey = {key32}\n"),
            "a WireGuard key",
        ),
        ("etc/systemd/network/wg0.netdev", format!("[WireGuardPeer]\nPresharedKey={key32}\n"), "a WireGuard key"),
        ("etc/wireguard/private.key", format!("{key32}\n"), "a key of 32 bytes (base64)"),
        (
            "root/age.txt",
            format!("# created\nAGE-SECRET-KEY-1{}\n", "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA".repeat(2)[..58].to_owned()),
            "a private key (age)",
        ),
        (
            "root/id.ppk",
            format!("PuTTY-User-Key-File-3: ssh-ed25519\r\nPrivate-MAC: 00\r\nPrivate-Lines: 1\r\n{random}\r\n"),
            "a private key (PuTTY)",
        ),
        (
            "etc/keys.yaml",
            format!("a:\n{0}key: |\n{0}  -----BEGIN PRIVATE KEY-----\n{0}  {BODY}\n", " ".repeat(30)),
            "a private key (PEM)",
        ),
        (
            "etc/jwk.json",
            format!("{{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"d\":\"{random}{random}\"}}"),
            "a private key (JSON web key)",
        ),
        ("etc/proxy", "http_proxy=http://robot:hunter2@proxy.example:3128\n".into(), "a URL with a password"),
        (
            "etc/apt/sources.list",
            "deb https://u:hunter2@deb.example/debian trixie main\n".into(),
            "a URL with a password",
        ),
        (
            "root/.aws/credentials",
            format!("aws_secret_access_key = {}\n", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            "a secret access key (AWS)",
        ),
        ("root/.aws/credentials", "aws_access_key_id = AKIAIOSFODNN7EXAMPLE\n".into(), "an access key"),
        (
            "root/gcp.json",
            format!(
                "{{\"type\": \"service_account\", \"private_key_id\": \"{}\"}}",
                "0123456789abcdef0123456789abcdef01234567"
            ),
            "a service account's key (Google Cloud)",
        ),
        (
            "etc/azure",
            format!("DefaultEndpointsProtocol=https;AccountName=a;AccountKey={}==;\n", &"aB3+".repeat(22)[..86]),
            "an account key (Azure)",
        ),
        ("etc/a", format!("glpat-{}\n", &random[..20]), "an access key"),
        ("etc/a", format!("ghp_{}\n", &random.repeat(2)[..36]), "an access key"),
        ("etc/a", format!("github_pat_{}_{}\n", &random[..22], &random.repeat(2)[..59]), "an access key"),
        ("etc/a", "xoxb-123456789012-abcdefABCDEF\n".into(), "an access key"),
        ("etc/a", "xoxp-123456789012-abcdefABCDEF\n".into(), "an access key"),
        ("etc/a", format!("//registry.npmjs.org/:_authToken=npm_{}\n", &random.repeat(2)[..36]), "an access key"),
        ("etc/a", format!("VAULT_TOKEN=hvs.{random}\n"), "an access key"),
        ("etc/kubeadm.yaml", "bootstrapTokens:\n- token: abcdef.abcdefghijklmnop\n".into(), "a bootstrap token"),
        (
            "etc/secret.yaml",
            "stringData:\n  token-id: abcdef\n  token-secret: abcdefghijklmnop\n".into(),
            "a bootstrap token",
        ),
        (
            "etc/enc.yaml",
            format!("- aescbc:\n    keys:\n    - name: k\n      secret: {key32}\n"),
            "a key of encryption at rest",
        ),
        ("etc/nginx/htpasswd", format!("robot:{hash}\n"), "a password's hash"),
        ("etc/shadow", format!("daemon:*:1::::::\nroot:{hash}:1::::::\n"), "a password's hash"),
        ("etc/gshadow", "root:*::\nadm:$y$j9T$abcdefgh$xyz::\n".into(), "a password's hash"),
        ("etc/passwd", "root:ab01FAX.bQRSU:0:0:root:/root:/bin/bash\n".into(), "a password's hash"),
        ("etc/shadow", "root::1::::::\n".into(), "an empty password"),
        ("etc/shadow-", "daemon:*:1::::::\nroot::1::::::\n".into(), "an empty password"),
        ("etc/passwd", "root::0:0:root:/root:/bin/bash\n".into(), "an empty password"),
        ("etc/gshadow", "root:::\n".into(), "an empty password"),
        ("root/.pgpass", "db:5432:app:robot:hunter2\n".into(), "a password (PostgreSQL)"),
    ]
}

#[test]
fn each_planted_secret_is_found_with_its_path_and_kind_and_never_quoted() {
    for (path, text, what) in planted() {
        let findings = found(path, &text);
        let finding = format!("/{path} contains {what} at byte ");
        assert!(findings.iter().any(|line| line.starts_with(&finding)), "{finding}: {findings:?} in {text}");
        for line in &findings {
            let rest = line.replace(&format!("/{path}"), "");
            let quoted = text.split(|c: char| !c.is_ascii_alphanumeric()).find(|word| {
                word.len() > 5 && rest.contains(word) && !what.contains(word) && !rest.contains(&format!(" {word} "))
            });
            assert_eq!(quoted, None, "{line}");
        }
    }
}

/// Keys in DER, as openssl writes them: of which the first bytes tell what they are.
#[test]
fn keys_in_der_are_found() {
    let pbes2 = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d];
    let data = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
    for (start, more, what) in [
        (&[0x30, 0x77, 2, 1, 1, 4, 0x20][..], &[][..], "a private key (DER)"),
        (&[0x30, 0x81, 0xa4, 2, 1, 1, 4, 0x30], &[], "a private key (DER)"),
        (&[0x30, 0x81, 0xdc, 2, 1, 1, 4, 0x42], &[], "a private key (DER)"),
        (&[0x30, 0x82, 4, 0xa4, 2, 1, 0, 2, 0x82, 1, 1], &[], "a private key (DER)"),
        (&[0x30, 0x82, 4, 0xbe, 2, 1, 0, 0x30, 0x0d, 6, 9], &[0x2a; 9], "a private key (DER)"),
        (&[0x30, 0x81, 0xee, 0x30, 0x49], &pbes2, "a private key (DER)"),
        (&[0x30, 0x82, 9, 1, 2, 1, 3, 0x30, 0x82, 8, 0xc7], &data, "a key store (PKCS #12)"),
        (b"openssh-key-v1\0", &[], "a private key (OpenSSH)"),
        (b"(21:protected-private-key", &[], "a private key (OpenPGP)"),
        (b"\x95\x01\x00\x04\0\0\0\0\x01", &[], "a private key (OpenPGP)"),
    ] {
        let bytes = [start, more, &[7; 64]].concat();
        assert_eq!(scan("etc/key", &bytes, 1 << 20), [format!("/etc/key contains {what} at byte 0")], "{bytes:x?}");
    }
    // A certificate is none.
    assert_eq!(scan("etc/crt", &[0x30, 0x82, 3, 5, 0x30, 0x82, 1, 0xed, 0xa0, 3, 2, 1, 2], 1 << 20), [""; 0]);
}

#[test]
fn settings_without_secrets_are_accepted() {
    for (path, text) in [
        ("etc/nsswitch.conf", "passwd:         files systemd\nshadow:         files\n"),
        ("etc/passwd", "root:x:0:0:root:/root:/bin/bash\nsync:*:4:65534::/bin:/bin/sync\n+::::::\n"),
        ("etc/shadow", "root:*:1::::::\nx:!*:1::::::\ny:!!:1::::::\n"),
        ("etc/gshadow", "root:*::\nusers:!::a,b\n"),
        ("etc/group", "root::0:\nusers:x:100:\n"),
        ("etc/kubernetes/kubelet.conf", "users:\n- user:\n    tokenFile: /run/token\n    client-key: /x.key\n"),
        (
            "etc/containerd/config.toml",
            "# password = \"hunter2\"\n[plugins.cri.registry]\n  config_path = \"/etc/containerd/certs.d\"\n",
        ),
        (
            "etc/containerd/certs.d/r/hosts.toml",
            "server = \"https://r\"\n[host.\"https://m\"]\n  capabilities = [\"pull\"]\n",
        ),
        ("etc/x", "proxy=http://$USER:$PASS@proxy\nhttp://user:password@host/\nhttp://host:8080/@x\n"),
        ("etc/x", "{\"auth\": \"required\"}\n{\"auth\": \"\"}"),
        ("etc/x", "token: ${TOKEN}\ntoken: /var/run/secrets/token\ntoken: aReallyLongWordWithoutDigits\n"),
        ("usr/share/doc/curl/examples", "machine a.example login b password c0ffee\n"),
        ("usr/lib/python3.13/urllib/request.py", "http://joe:hunter2@proxy.example\n"),
        (
            "usr/lib/python3.13/test/certdata/keycert.pem",
            "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg\n",
        ),
    ] {
        assert_eq!(found(path, text), [""; 0], "{path}: {text}");
    }
    let pem = format!("\0-----BEGIN RSA PRIVATE KEY-----\n{BODY}\n");
    assert_eq!(found("usr/lib/x86_64-linux-gnu/libgnutls.so.30.40.3", &pem), [""; 0]);
    // A key in documentation is a key, and so is one in a directory of another name.
    for path in ["usr/share/doc/x/key.pem", "usr/lib/contest/key.pem", "etc/test/key.pem"] {
        assert_eq!(found(path, &format!("-----BEGIN PRIVATE KEY-----\n{BODY}\n")).len(), 1, "{path}");
    }
}
