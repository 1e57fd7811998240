//! The client certificate in the form that kubelet stores it (client-go's certificate store): dated
//! files, and a link to the current one.

use crate::csr::{ORGANIZATION, common_name};
use crate::net::Identity;
use crate::paths::UNFINISHED;
use crate::pki::{Certificate, CertificateError, Key, KeyError, pem, verify_client};
use crate::root::{Access, FileError, RootDir};
use crate::time::civil;
use rustls::pki_types::CertificateDer;
use std::fs;
use std::sync::Arc;
use std::time::SystemTime;
use zeroize::Zeroizing;

pub use crate::paths::PKI;

/// The key while its certificate is pending; the name is kubelet's.
const KEY: &str = "/var/lib/kubelet/pki/kubelet-client.key.tmp";
const CURRENT: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";
const UPDATED: &str = "/var/lib/kubelet/pki/kubelet-client-updated.pem";
const DATED: &str = "kubelet-client-";
const MODE: u32 = 0o600;

/// Why a certificate file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateFault {
    /// It cannot be read.
    #[error("{0}")]
    File(#[from] FileError),
    /// It is not a certificate of the cluster.
    #[error("the client certificate: {0}")]
    Certificate(#[from] CertificateError),
    /// There is no key with it.
    #[error("the client certificate's key: {0}")]
    Key(#[from] KeyError),
    /// It is for another key.
    #[error("the client certificate is for another key than this node's")]
    OtherKey,
    /// It is for another name.
    #[error("the client certificate is for {found}, not for {wanted} in {ORGANIZATION}")]
    OtherName {
        /// Its subject.
        found: String,
        /// The expected subject.
        wanted: String,
    },
}

/// The path of the current certificate.
pub(super) fn current() -> &'static str {
    CURRENT
}

/// Checks that a certificate chain in PEM is for `node` and `key`, and that `authorities` verify it
/// at `now`.
///
/// # Errors
/// [`CertificateFault`].
pub fn check(
    chain: &str,
    key: &Key,
    node: &str,
    authorities: &[CertificateDer<'_>],
    now: SystemTime,
) -> Result<Certificate, CertificateFault> {
    let chain = pem::certificates(chain).ok_or(CertificateError::Malformed)?;
    let first = chain.first().ok_or(CertificateError::Malformed)?;
    let certificate = Certificate::parse(first)?;
    if certificate.spki != key.spki() {
        return Err(CertificateFault::OtherKey);
    }
    let wanted = common_name(node);
    if certificate.common_names != [wanted.as_str()] || certificate.organizations != [ORGANIZATION] {
        let found = format!("{} in {}", certificate.common_names.join("+"), certificate.organizations.join("+"));
        return Err(CertificateFault::OtherName { found: crate::api::printable(&found), wanted });
    }
    verify_client(&chain, authorities, now)?;
    Ok(certificate)
}

/// Loads the active certificate. A current one that is damaged (by a power loss or a person) is
/// replaced by the newest dated one that is valid, and a regular file in the link's place becomes a
/// dated one. `None` if there is no valid one, with the reason in `why`.
///
/// # Errors
/// [`FileError`] when files cannot be listed or linked.
pub fn load_certificate(
    root: &RootDir,
    node: &str,
    authorities: &[CertificateDer<'_>],
    now: SystemTime,
    why: &mut Option<CertificateFault>,
) -> Result<Option<Certificate>, FileError> {
    let mut load = |path: &str| {
        let result = root.read(path).map_err(CertificateFault::from).and_then(|text| match text {
            Some(text) => {
                // An existing certificate was issued in the past, so if it is in the future, the
                // clock is behind.
                let now = issued(&text).map_or(now, |issued| issued.max(now));
                check(&text, &Key::from_pem(&text)?, node, authorities, now).map(|found| Some((text, found)))
            }
            None => Ok(None),
        });
        result.unwrap_or_else(|fault| {
            why.get_or_insert(fault);
            None
        })
    };
    let at_link = root.at(CURRENT);
    match fs::read_link(&at_link) {
        Ok(target) => {
            // The target's path is absolute on the node, so below another root only its name is
            // used.
            let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if let Some((_, certificate)) = load(&format!("{PKI}/{name}")) {
                return Ok(Some(certificate));
            }
        }
        Err(_) if at_link.exists() => {
            if let Some((text, certificate)) = load(CURRENT) {
                store(root, &text, certificate.not_before)?;
                return Ok(Some(certificate));
            }
        }
        Err(_) => {}
    }
    let mut names: Vec<String> = fs::read_dir(root.at(PKI))
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(DATED) && name.ends_with(".pem") && name.contains(|c: char| c.is_ascii_digit()))
        .collect();
    names.sort();
    for name in names.iter().rev() {
        let path = format!("{PKI}/{name}");
        if let Some((_, certificate)) = load(&path) {
            root.link(CURRENT, &path, UPDATED)?;
            return Ok(Some(certificate));
        }
    }
    Ok(None)
}

/// The active client certificate, without checking it: kubelet may renew it at any time, and the
/// API server verifies it.
///
/// # Errors
/// [`CertificateFault`] when there is none, or no key with it.
pub fn identity(root: &RootDir, authorities: &[CertificateDer<'static>]) -> Result<Arc<Identity>, CertificateFault> {
    let target = fs::read_link(root.at(CURRENT)).unwrap_or_default();
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let text = root.read(&format!("{PKI}/{name}"))?.unwrap_or_default();
    let chain = pem::certificates(&text).ok_or(CertificateError::Malformed)?;
    let key = Key::from_pem(&text)?.to_pkcs8();
    Ok(Arc::new(Identity { authorities: authorities.to_vec(), chain, key }))
}

/// The start of the validity of the first certificate in a PEM text.
fn issued(text: &str) -> Option<SystemTime> {
    let chain = pem::certificates(text)?;
    Certificate::parse(chain.first()?).ok().map(|certificate| certificate.not_before)
}

/// Stores a checked certificate chain with its key, makes it the current one, and removes the key's
/// temporary file.
///
/// # Errors
/// [`FileError`].
pub fn store_certificate(root: &RootDir, chain: &str, key: &Key, now: SystemTime) -> Result<(), FileError> {
    let key = key.to_pem();
    let mut text = Zeroizing::new(String::with_capacity(chain.len() + key.len() + 1));
    text.push_str(chain);
    if !chain.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&key);
    store(root, &text, now)?;
    root.remove(KEY).map(|_| ())
}

fn store(root: &RootDir, text: &str, time: SystemTime) -> Result<(), FileError> {
    let (year, month, day, hour, minute, second) = civil(time);
    let path = format!("{PKI}/{DATED}{year:04}-{month:02}-{day:02}-{hour:02}-{minute:02}-{second:02}.pem");
    sweep(root)?;
    root.write(&path, text.as_bytes(), Access::mode(MODE))?;
    root.link(CURRENT, &path, UPDATED)
}

/// Removes temporary files that a power loss left: their names do not recur, and they contain a
/// key.
fn sweep(root: &RootDir) -> Result<(), FileError> {
    let Ok(entries) = fs::read_dir(root.at(PKI)) else { return Ok(()) };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    for name in names.filter(|name| name.starts_with(DATED) && name.ends_with(UNFINISHED)) {
        root.remove(&format!("{PKI}/{name}"))?;
    }
    Ok(())
}

/// The key whose certificate is pending: the one from before a restart, or a new one, which is on
/// disk before it is used.
///
/// # Errors
/// [`CertificateFault`].
pub fn take_key(root: &RootDir) -> Result<Key, CertificateFault> {
    if let Ok(Some(text)) = root.read(KEY)
        && let Ok(key) = Key::from_pem(&text)
    {
        return Ok(key);
    }
    let key = Key::generate()?;
    root.write(KEY, key.to_pem().as_bytes(), Access::mode(MODE))?;
    Ok(key)
}

/// Removes that key, because its request has failed permanently.
///
/// # Errors
/// [`FileError`].
pub fn drop_key(root: &RootDir) -> Result<(), FileError> {
    root.remove(KEY).map(|_| ())
}
