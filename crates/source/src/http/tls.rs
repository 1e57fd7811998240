//! Chooses the trusted certificate authorities.

use super::error::HttpErrorKind;
use std::path::Path;
use std::sync::Arc;
use ureq::tls::{PemItem, RootCerts, parse_pem};

/// The paths of the host's CA bundle in various distributions.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The largest bundle that is read, in bytes; those of distributions have 300 KB.
const MAX_BUNDLE: u64 = 16 << 20;

/// The authorities in `ca_file`, or those of the host, or the built-in list of Mozilla.
///
/// The host's list comes before the built-in one because only it has a company's own authority.
pub(super) fn roots(ca_file: Option<&Path>) -> Result<RootCerts, HttpErrorKind> {
    if let Some(path) = ca_file {
        return read(path).map_err(|why| HttpErrorKind::Roots { path: path.to_owned(), why });
    }
    let host = BUNDLES.iter().find_map(|path| read(Path::new(path)).ok());
    Ok(host.unwrap_or(RootCerts::WebPki))
}

fn read(path: &Path) -> Result<RootCerts, String> {
    let pem = kiln_file::read(path, MAX_BUNDLE).map_err(|error| error.to_string())?;
    let certificates: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err("it contains no certificate in PEM form".into());
    }
    Ok(RootCerts::Specific(Arc::new(certificates)))
}
