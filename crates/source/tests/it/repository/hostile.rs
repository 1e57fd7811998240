//! Tests of repositories that lie, each in one way, and of the errors.

use crate::repository::gnupg::Gnupg;
use jiff::Timestamp;
use kiln_source::deb::keyring::Keyring;
use kiln_source::deb::package::Archive;
use kiln_source::deb::repository::{self, Index, Request, SuiteRequest};
use kiln_source::deb::transport::{Transport, TransportError};
use kiln_tree::Digest;
use kiln_url::Url;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Mutex;

const MIRROR: &str = "http://mirror.example/debian";
const PACKAGES: &str = "Package: a\nVersion: 1\n\nPackage: b\nVersion: 2\n";
const PATH: &str = "main/binary-amd64/Packages";

/// A mirror in memory: files by URL, and the log of requests.
#[derive(Default)]
struct Mirror {
    files: BTreeMap<String, Vec<u8>>,
    log: Mutex<Vec<String>>,
}

impl Transport for Mirror {
    fn get(&self, url: &Url, limit: u64) -> Result<Vec<u8>, TransportError> {
        self.log.lock().unwrap().push(url.expose().to_owned());
        let bytes = self.files.get(url.expose()).ok_or_else(|| TransportError::NotFound { url: url.clone() })?;
        if u64::try_from(bytes.len()).unwrap() > limit {
            let reason = format!("it is larger than {limit} bytes").into();
            return Err(TransportError::Failed { url: url.clone(), reason });
        }
        Ok(bytes.clone())
    }
}

fn keyring_of(keys: &Gnupg) -> Keyring {
    Keyring::from_bytes("test.gpg", &keys.export()).unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut writer = liblzma::write::XzEncoder::new(Vec::new(), 6);
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

/// The text of a `Release` that lists these files, and its usual fields.
fn release(files: &[(&str, &[u8])]) -> String {
    let mut text = "Origin: Test\nSuite: stable\nCodename: trixie\nDate: Sun, 01 Nov 2026 00:00:00 UTC\nValid-Until: Sun, 08 Nov 2026 \
                    00:00:00 UTC\nAcquire-By-Hash: yes\nArchitectures: all amd64\nComponents: main contrib\nSHA256:\n"
        .to_owned();
    for (path, bytes) in files {
        text.push_str(&format!(" {} {} {path}\n", Digest::of(bytes), bytes.len()));
    }
    text
}

fn good_release() -> String {
    release(&[(PATH, PACKAGES.as_bytes()), (&format!("{PATH}.xz"), &xz(PACKAGES.as_bytes()))])
}

fn by_hash(bytes: &[u8]) -> String {
    format!("{MIRROR}/dists/trixie/main/binary-amd64/by-hash/SHA256/{}", Digest::of(bytes))
}

fn in_release() -> String {
    format!("{MIRROR}/dists/trixie/InRelease")
}

/// A mirror with this signed release and this index.
fn mirror(in_release_bytes: Vec<u8>, packages: &[u8]) -> Mirror {
    let files = [(in_release(), in_release_bytes), (by_hash(packages), packages.to_vec())];
    Mirror { files: files.into(), log: Mutex::default() }
}

fn load_at(now: &str, mirror: &Mirror, keyring: &Keyring, mirrors: &[&str]) -> Result<Index, String> {
    load_as("amd64", "main", now, mirror, keyring, mirrors)
}

fn load_as(
    architecture: &str,
    component: &str,
    now: &str,
    mirror: &Mirror,
    keyring: &Keyring,
    mirrors: &[&str],
) -> Result<Index, String> {
    let mirrors = mirrors.iter().map(|mirror| Url::from(*mirror)).collect();
    let request = Request {
        suites: &[SuiteRequest { kind: Archive::Main, name: "trixie".to_owned(), mirrors }],
        components: &[component.to_owned()],
        architecture,
        snapshot: None,
        keyring,
        now: now.parse().unwrap(),
        check_valid_until: true,
    };
    repository::load(mirror, &request).map_err(|error| error.to_string())
}

const NOW: &str = "2026-11-02T00:00:00Z";

#[test]
fn an_honest_repository_is_loaded_by_hash() {
    let keys = Gnupg::with_key("Test <test@example.org>");
    let mirror = mirror(keys.sign(&good_release()), &xz(PACKAGES.as_bytes()));
    let index = load_at(NOW, &mirror, &keyring_of(&keys), &[&format!("{MIRROR}/")]).unwrap();
    assert_eq!(index.suites[0].packages[0].text, PACKAGES);
    assert_eq!(index.date(), "2026-11-01T00:00:00Z".parse::<Timestamp>().unwrap());
    assert_eq!(index.suites[0].signers[0].fingerprint, keys.fingerprint());
    assert_eq!(*mirror.log.lock().unwrap(), [in_release(), by_hash(&xz(PACKAGES.as_bytes()))]);
}

#[test]
fn lies_are_rejected_with_their_reasons() {
    let keys = Gnupg::with_key("Test <test@example.org>");
    let strangers = Gnupg::with_key("Stranger <stranger@example.org>");
    let keyring = keyring_of(&keys);
    let (text, packages) = (good_release(), xz(PACKAGES.as_bytes()));
    let signed = keys.sign(&text);
    let honest = String::from_utf8(signed.clone()).unwrap();
    let sign = |text: &str| keys.sign(text);
    let changed = xz(b"Package: evil\nVersion: 1\n");
    let bomb = xz(&vec![b'\n'; 32 << 20]);
    let xz_path = format!("{PATH}.xz");
    let listing = |size: &str, path: &str| format!("{} {} {size} {path}\n", release(&[]).trim_end(), Digest::of(b""));
    let with_changed = {
        let mut mirror = mirror(signed.clone(), &packages);
        mirror.files.insert(by_hash(&packages), changed.clone());
        mirror
    };
    let truncated = {
        let mut mirror = mirror(signed.clone(), &packages);
        mirror.files.insert(by_hash(&packages), packages[..packages.len() - 7].to_vec());
        mirror
    };
    let longer = {
        let mut mirror = mirror(signed.clone(), &packages);
        mirror.files.insert(by_hash(&packages), [packages.clone(), b"x".to_vec()].concat());
        mirror
    };
    let cases: Vec<(&str, Mirror, &str)> = vec![
        ("no such suite", Mirror::default(), "InRelease does not exist"),
        ("changed text", mirror(honest.replace("Test", "Evil").into_bytes(), &packages), "does not match the text"),
        ("not signed", mirror(text.clone().into_bytes(), &packages), "text before"),
        ("unsigned text in front", mirror(format!("Origin: Evil\n\n{honest}").into_bytes(), &packages), "text before"),
        ("unsigned text behind", mirror(format!("{honest}\nOrigin: Evil\n").into_bytes(), &packages), "text after"),
        ("signed by a stranger", mirror(strangers.sign(&text), &packages), "is not in the keyring"),
        (
            "another suite",
            mirror(sign(&text.replace("trixie", "sid")), &packages),
            "release of sid alias stable, not of trixie",
        ),
        ("without date", mirror(sign(&text.replace("Date: ", "Day: ")), &packages), "no field \"Date\""),
        (
            "dated in the future",
            mirror(sign(&text.replace("01 Nov 2026", "01 Nov 2099").replace("Sun, 01", "01")), &packages),
            "set this machine's clock",
        ),
        ("two paragraphs", mirror(sign(&format!("{text}\nOrigin: b\n")), &packages), "a second paragraph"),
        ("an HTML page", mirror(b"<html><body>Log in</body></html>".to_vec(), &packages), "text before"),
        ("no index", mirror(signed.clone(), b""), "Packages.xz does not exist"),
        ("changed index", with_changed, "announced"),
        ("truncated index", truncated, "was cut short"),
        ("longer index", longer, "is larger than"),
        (
            "wrong digest of the text",
            mirror(
                sign(&release(&[(PATH, b"Package: x\nVersion: 1\n\nPackage: y\nVersion: 2\n"), (&xz_path, &packages)])),
                &packages,
            ),
            "its sha256 is",
        ),
        (
            "decompression bomb",
            mirror(sign(&release(&[(PATH, PACKAGES.as_bytes()), (&xz_path, &bomb)])), &bomb),
            "decompresses to more than the",
        ),
        (
            "not xz",
            mirror(sign(&release(&[(&xz_path, PACKAGES.as_bytes())])), PACKAGES.as_bytes()),
            "decompressing it as .xz failed",
        ),
        (
            "not an index",
            mirror(sign(&release(&[(&xz_path, &xz(b"junk\n"))])), &xz(b"junk\n")),
            "\"junk\" is not of the form",
        ),
        ("not UTF-8", mirror(sign(&release(&[(&xz_path, &xz(b"Package: \xff\n"))])), &xz(b"Package: \xff\n")), "utf-8"),
        (
            "absurd size",
            mirror(sign(&listing("18446744073709551615", &xz_path)), &packages),
            "is announced with 18446744073709551615 bytes, more than the accepted 268435456",
        ),
        (
            "absurd unpacked size",
            mirror(
                sign(&format!("{} {} 99999999999 {PATH}\n", release(&[(&xz_path, &packages)]), Digest::of(b""))),
                &packages,
            ),
            "Packages is announced with 99999999999 bytes, more than the accepted 1073741824",
        ),
        (
            "listed twice",
            mirror(sign(&format!("{text} {} 5 {PATH}\n", Digest::of(b""))), &packages),
            "twice with different values",
        ),
        ("negative size", mirror(sign(&listing("-1", &xz_path)), &packages), "SHA256"),
        (
            "index not listed",
            mirror(sign(&listing("1", "main/source/Sources.xz")), &packages),
            "no packages of component \"main\" for \"amd64\"",
        ),
    ];
    for (what, mirror, reason) in cases {
        let error = load_at(NOW, &mirror, &keyring, &[MIRROR]).expect_err(what);
        assert!(error.starts_with(&format!("loading the package index of trixie: {MIRROR}: ")), "{what}: {error}");
        assert!(error.contains(reason), "{what}: {error}");
        assert!(!error.contains('\n'), "{what}: {error}");
    }

    let honest = mirror(signed.clone(), &packages);
    let error = load_at("2026-11-09T00:00:00Z", &honest, &keyring, &[MIRROR]).expect_err("expired");
    assert!(error.contains("valid until 2026-11-08T00:00:00Z"), "{error}");
    let error = load_as("amd64", "non-free", NOW, &honest, &keyring, &[MIRROR]).expect_err("component");
    assert!(error.contains("no packages of component \"non-free\"") && error.contains("main, contrib"), "{error}");
    let error = load_as("riscv64", "main", NOW, &honest, &keyring, &[MIRROR]).expect_err("architecture");
    assert!(error.contains("for \"riscv64\"; it has components main, contrib for all, amd64"), "{error}");
    let error = load_at(NOW, &honest, &keyring, &[]).expect_err("no mirror");
    // The key and the option that name one are the lock's to say, and its test's.
    assert_eq!(error, "there is no mirror for the suite trixie");
}

/// A transport whose cache was tampered with.
struct LyingCache(Mirror);

impl Transport for LyingCache {
    fn get(&self, url: &Url, limit: u64) -> Result<Vec<u8>, TransportError> {
        self.0.get(url, limit)
    }

    fn get_by_digest(&self, _: &[Url], _: &Digest, _: u64) -> Result<Vec<u8>, TransportError> {
        Ok(xz(b"Package: evil\nVersion: 1\n"))
    }
}

#[test]
fn bytes_from_a_transport_are_verified_again() {
    let keys = Gnupg::with_key("Test <test@example.org>");
    let keyring = keyring_of(&keys);
    let cache = LyingCache(mirror(keys.sign(&good_release()), &xz(PACKAGES.as_bytes())));
    let request = Request {
        suites: &[SuiteRequest { kind: Archive::Main, name: "trixie".to_owned(), mirrors: vec![MIRROR.into()] }],
        components: &["main".to_owned()],
        architecture: "amd64",
        snapshot: None,
        keyring: &keyring,
        now: NOW.parse().unwrap(),
        check_valid_until: true,
    };
    let error = repository::load(&cache, &request).expect_err("tampered cache").to_string();
    assert!(error.contains("Packages.xz is rejected: it"), "{error}");
}

#[test]
fn nothing_else_is_requested_from_a_mirror_with_a_bad_signature() {
    let keys = Gnupg::with_key("Test <test@example.org>");
    let strangers = Gnupg::with_key("Stranger <stranger@example.org>");
    let mirror = mirror(strangers.sign(&good_release()), &xz(PACKAGES.as_bytes()));
    assert!(load_at(NOW, &mirror, &keyring_of(&keys), &[MIRROR]).is_err());
    assert_eq!(*mirror.log.lock().unwrap(), [in_release()]);
}

#[test]
fn the_next_mirror_is_tried_and_every_failure_reported() {
    let keys = Gnupg::with_key("Test <test@example.org>");
    let (good, packages) = (keys.sign(&good_release()), xz(PACKAGES.as_bytes()));
    let second = "http://second.example/debian";
    let other = |url: &str| url.replace(MIRROR, second);

    // The first has no release at all, the second all.
    let mut mirror = mirror(good.clone(), &packages);
    let error = load_at(NOW, &mirror, &keyring_of(&keys), &["http://gone.example", "http://u:p@lost.example"]);
    let error = error.expect_err("no mirror");
    assert!(error.contains("http://gone.example: ") && error.contains("; http://***@lost.example: "), "{error}");
    assert!(load_at(NOW, &mirror, &keyring_of(&keys), &["http://gone.example", MIRROR]).is_ok());

    // The first has a release but lost its index; the second has that index, so the release of the
    // first is used.
    let index = mirror.files.remove(&by_hash(&packages)).unwrap();
    mirror.files.insert(other(&by_hash(&packages)), index);
    mirror.log.lock().unwrap().clear();
    assert!(load_at(NOW, &mirror, &keyring_of(&keys), &[MIRROR, second]).is_ok());
    let asked = mirror.log.lock().unwrap().clone();
    assert_eq!(asked[..2], [in_release(), by_hash(&packages)]);
    assert_eq!(asked[2], format!("{MIRROR}/dists/trixie/{PATH}.xz"));
    assert_eq!(asked[3], other(&by_hash(&packages)));

    // The first announces what no mirror has; the second is consistent.
    let newer = keys.sign(&release(&[(&format!("{PATH}.xz"), b"newer")]));
    mirror.files.insert(in_release(), newer);
    mirror.files.insert(other(&in_release()), good);
    assert_eq!(
        load_at(NOW, &mirror, &keyring_of(&keys), &[MIRROR, second]).unwrap().suites[0].packages[0].text,
        PACKAGES
    );
}

#[test]
fn a_snapshot_may_be_expired_and_is_put_into_the_url() {
    let keys = Gnupg::with_key("Test <test@example.org>");
    let keyring = keyring_of(&keys);
    let files = mirror(keys.sign(&good_release()), &xz(PACKAGES.as_bytes())).files;
    let base = "http://snapshot.example/archive/debian/20261101T000000Z";
    let mirror = Mirror {
        files: files.into_iter().map(|(url, b)| (url.replace(MIRROR, base), b)).collect(),
        log: Mutex::default(),
    };
    let mirrors = vec!["http://snapshot.example/archive/debian/{snapshot}/".into()];
    let suites = [SuiteRequest { kind: Archive::Main, name: "trixie".to_owned(), mirrors }];
    let mut request = Request {
        suites: &suites,
        components: &["main".to_owned()],
        architecture: "amd64",
        snapshot: Some("20261101T000000Z"),
        keyring: &keyring,
        now: "2027-11-01T00:00:00Z".parse().unwrap(),
        check_valid_until: true,
    };
    assert!(repository::load(&mirror, &request).is_ok());
    request.snapshot = None;
    let error = repository::load(&mirror, &request).expect_err("no snapshot").to_string();
    assert!(error.contains("no snapshot is set"), "{error}");
}
