//! Downloads a document from a web server.

use super::SourceError;
use crate::net::{NetError, Network, Request, Scheme, Url, Verify};
use crate::pki::pem;
use crate::root::RootDir;
use crate::seed::{MAX_SIZE, Pin};
use std::time::Duration;
use zeroize::Zeroizing;

/// ca-certificates' bundle.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// The time limit of one complete request.
const PATIENCE: Duration = Duration::from_secs(30);
const MAX_REDIRECTS: usize = 3;

/// Gets `url`. An https server is verified by an authority with the pin `authority`, or otherwise
/// by the image's authorities. Redirects are followed, but not from https to http.
///
/// # Errors
/// [`SourceError`].
pub fn download(
    root: &RootDir,
    network: &Network,
    url: &Url,
    authority: Option<Pin>,
) -> Result<Zeroizing<Vec<u8>>, SourceError> {
    let verify = match (url.scheme, authority) {
        (Scheme::Http, _) => Verify::Nothing,
        (Scheme::Https, Some(pin)) => Verify::Pinned(pin),
        (Scheme::Https, None) => {
            let text = root.read(AUTHORITIES)?;
            Verify::Authorities(text.as_ref().and_then(|text| pem::certificates(text)).unwrap_or_default())
        }
    };
    let failed = |why: String| Err(SourceError::Address(why));
    let mut at = url.clone();
    for _ in 0..=MAX_REDIRECTS {
        let mut connection = network.connect(&at, &verify)?;
        let request = Request { method: "GET", target: &at.path, headers: &[("Accept", "*/*")], body: &[] };
        let response = connection.send(&request, PATIENCE)?;
        match (response.head.status, response.head.header("location")) {
            (200, _) => return Ok(Zeroizing::new(response.bytes(MAX_SIZE)?)),
            (301 | 302 | 303 | 307 | 308, Some(location)) => {
                let next = if location.starts_with('/') { Ok(at.at(location)) } else { Url::parse(location) };
                let next = next.map_err(NetError::from)?;
                if at.scheme == Scheme::Https && next.scheme == Scheme::Http {
                    return failed(format!("{at} redirects from https to {next}"));
                }
                drop(response);
                at = next;
            }
            (status, _) => return failed(format!("{at} answered with status {status}")),
        }
    }
    failed(format!("{url} has too many redirects"))
}
