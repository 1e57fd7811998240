//! The mirror and the keyring of this machine, for tests with real archives.

use kiln_source::deb::apt_sources::{self, AptSources};
use kiln_source::deb::control::Paragraphs;
use kiln_source::deb::keyring::Keyring;
use kiln_source::deb::package::Archive;
use kiln_source::deb::repository::{self, Request};
use kiln_source::deb::transport::{Transport, TransportError};
use kiln_tree::Digest;
use kiln_url::Url;
use std::path::{Path, PathBuf};

pub(super) struct Http;

impl Transport for Http {
    fn get(&self, url: &Url, limit: u64) -> Result<Vec<u8>, TransportError> {
        let failed = |error: ureq::Error| match error {
            ureq::Error::StatusCode(404) => TransportError::NotFound { url: url.clone() },
            error => TransportError::Failed { url: url.clone(), reason: Box::new(error) },
        };
        // ureq wants to read the end of the body, too, before its limit.
        let mut response = ureq::get(url.expose()).call().map_err(failed)?;
        response.body_mut().with_config().limit(limit + 1).read_to_vec().map_err(failed)
    }
}

pub(super) fn keyring_path() -> PathBuf {
    let existing = kiln_debian::KEYRINGS.iter().map(Path::new).find(|path| path.exists());
    existing.expect("install the Debian package debian-archive-keyring").to_owned()
}

pub(super) fn host_sources() -> AptSources {
    apt_sources::read(Path::new("/")).expect("the host's apt sources name a mirror of Debian")
}

/// The `InRelease` of a suite, from the host's mirror.
pub(super) fn in_release(suite: &str) -> Vec<u8> {
    let sources = host_sources();
    let mirrors = if suite.ends_with("-security") { sources.security_mirrors } else { sources.mirrors };
    let mirror = mirrors.first().expect("a mirror in the host's apt sources");
    Http.get(&mirror.under(&format!("dists/{suite}/InRelease")), 1 << 24).unwrap()
}

#[test]
fn trixie_is_loaded_from_the_hosts_mirror() {
    let sources = host_sources();
    let keyring = Keyring::from_first(&kiln_debian::KEYRINGS).unwrap();
    let suites = repository::standard_suites("trixie", &sources.mirrors, &sources.security_mirrors);
    let request = Request {
        suites: &suites,
        components: &["main".to_owned()],
        architecture: "amd64",
        snapshot: None,
        keyring: &keyring,
        now: jiff::Timestamp::now(),
        check_valid_until: true,
    };
    let start = std::time::Instant::now();
    let index = repository::load(&Http, &request).unwrap();
    println!("loaded in {:?}", start.elapsed());
    let kinds: Vec<_> = index.suites.iter().map(|suite| suite.kind).collect();
    assert_eq!(kinds, [Archive::Main, Archive::Updates, Archive::Security]);
    assert!(index.suites.iter().all(|suite| index.date() >= suite.release.date));
    let main = &index.suites[0];
    assert_eq!(main.release.codename.as_deref(), Some("trixie"));
    assert_eq!(main.in_release, Digest::of(&in_release("trixie")));

    // Every paragraph of every index is a package with all fields that an installation needs.
    let start = std::time::Instant::now();
    let mut packages = 0;
    for text in index.suites.iter().flat_map(|suite| &suite.packages) {
        for paragraph in Paragraphs::new(&text.text) {
            let paragraph = paragraph.unwrap();
            for field in ["Package", "Version", "Architecture", "Filename", "Size", "SHA256"] {
                paragraph.require(field).unwrap();
            }
            packages += 1;
        }
    }
    println!("{packages} packages read in {:?}", start.elapsed());
    assert!(packages > 60_000, "{packages} packages");
}
