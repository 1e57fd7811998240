//! A seed's address on the kernel command line, for machines that boot from the network.
//!
//! `kiln.seed=https://…` is verified by the image's certificate authorities or, with
//! `kiln.seed_ca=sha256:…`, by an authority with this pin. `kiln.seed_sha256=…` pins the document
//! itself, and is required for `http://…`. Everyone on the machine can read the command line, so it
//! contains no secrets.

use super::download::download;
use super::{Found, Places, SourceError};
use crate::net::{Scheme, Url};
use crate::root::{FileError, RootDir};
use crate::seed::Pin;
use ring::digest::{SHA256, digest};

const CMDLINE: &str = "/proc/cmdline";
const SEED: &str = "kiln.seed";

/// The seed's address on the command line.
#[derive(Debug, PartialEq)]
struct Address {
    url: Url,
    sha256: Option<Pin>,
    authority: Option<Pin>,
}

pub(super) fn read(places: &Places<'_>) -> Result<Option<Found>, SourceError> {
    let Some(text) = places.root.read(CMDLINE)? else { return Ok(None) };
    let Some(address) = parse(&text).map_err(SourceError::Address)? else { return Ok(None) };
    let bytes = download(places.root, places.network, &address.url, address.authority)?;
    if let Some(expected) = address.sha256 {
        let found = digest(&SHA256, &bytes);
        if found.as_ref() != expected.0 {
            let found = found.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            return Err(SourceError::Address(format!(
                "{} has the digest {found}, not the one of kiln.seed_sha256",
                address.url
            )));
        }
    }
    Ok(Some(Found { bytes, place: address.url.to_string() }))
}

/// Whether the command line names a seed, however badly.
pub(super) fn is_given(root: &RootDir) -> Result<bool, FileError> {
    Ok(root.read(CMDLINE)?.is_some_and(|text| word(&text, SEED).is_some()))
}

/// The value of the last word `key=…`.
fn word<'a>(cmdline: &'a str, key: &str) -> Option<&'a str> {
    cmdline.split_whitespace().filter_map(|word| word.strip_prefix(key)?.strip_prefix('=')).next_back()
}

fn parse(cmdline: &str) -> Result<Option<Address>, String> {
    let word = |key: &str| word(cmdline, key);
    let Some(url) = word(SEED) else { return Ok(None) };
    let url = Url::parse(url).map_err(|error| format!("kiln.seed: {error}"))?;
    let pin = |key: &str| {
        let text = word(key).map(|text| if text.contains(':') { text.to_owned() } else { format!("sha256:{text}") });
        text.map(|text| Pin::parse(&text).map_err(|error| format!("{key}: {error}"))).transpose()
    };
    let (sha256, authority) = (pin("kiln.seed_sha256")?, pin("kiln.seed_ca")?);
    if url.scheme == Scheme::Http && sha256.is_none() {
        return Err("kiln.seed: over http:// the document must be pinned (kiln.seed_sha256)".into());
    }
    Ok(Some(Address { url, sha256, authority }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines() {
        let hash = "ab".repeat(32);
        let said = |text: &str| parse(text).map(|address| address.map(|address| address.url.to_string()));
        assert_eq!(said("quiet panic=10"), Ok(None));
        assert_eq!(said("kiln.seed=https://a/b quiet\n"), Ok(Some("https://a:443/b".into())));
        assert_eq!(said(&format!("kiln.seed=http://a/b kiln.seed_sha256={hash}")), Ok(Some("http://a:80/b".into())));
        assert!(said("kiln.seed=http://a/b").is_err_and(|why| why.contains("must be pinned")));
        assert!(said("kiln.seed=a").is_err());
        assert!(said("kiln.seed=https://a kiln.seed_ca=sha256:1").is_err_and(|why| why.starts_with("kiln.seed_ca: ")));
        let pinned =
            parse(&format!("kiln.seed=https://a kiln.seed_ca=sha256:{hash}")).expect("sound").expect("an address");
        assert_eq!(pinned.authority, Some(Pin([0xab; 32])));
    }
}
