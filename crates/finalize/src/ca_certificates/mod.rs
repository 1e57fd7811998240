//! `/etc/ssl/certs`: the bundle, a link for each certificate, and OpenSSL's hash links, as
//! update-ca-certificates(8) and openssl-rehash(1) write them.
//!
//! Certificates are those of the package ca-certificates (`/usr/share/ca-certificates`), all of
//! them or those that `/etc/ca-certificates.conf` lists, then `*.crt` of
//! `/usr/local/share/ca-certificates`. On a Debian host the order of the bundle depends on the
//! locale of the administrator who installed it; here it is that of the C locale.

mod der;
mod pem;

pub use der::DerError;
pub use pem::PemError;

use super::Finalizer;
use super::input::{self, InputError, OutputError};
use kiln_tree::{ContentReader, Entry, FileTree};
use sha1::{Digest as _, Sha1};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const FINALIZER: Finalizer = Finalizer { name: "ca-certificates", reads: &[&[PACKAGED, LOCAL, CONF]] };
const PACKAGED: &str = "usr/share/ca-certificates";
const LOCAL: &str = "usr/local/share/ca-certificates";
const CONF: &str = "etc/ca-certificates.conf";
const CERTS: &str = "etc/ssl/certs";
const BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";

/// Why the certificates cannot be installed.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A file cannot be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// `/etc/ca-certificates.conf` lists a certificate that is missing.
    #[error("/{CONF}:{line}: /{path} is not in the tree: remove the line")]
    NotFound {
        /// The line, from 1.
        line: usize,
        /// The certificate.
        path: String,
    },
    /// A file has no readable certificate.
    #[error("/{path}: {why}")]
    Pem {
        /// The file.
        path: String,
        /// What is wrong.
        why: PemError,
    },
    /// A certificate is invalid.
    #[error("/{path} is not an X.509 certificate: {why}")]
    Der {
        /// The file.
        path: String,
        /// What is wrong.
        why: DerError,
    },
    /// The result cannot be put into the tree.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Writes the bundle and links for the certificates in `tree`; returns the number of certificate
/// files. Does nothing in a tree without any.
///
/// # Errors
/// [`CaError`], which names the file.
pub fn finalize(tree: &mut FileTree, reader: &dyn ContentReader) -> Result<usize, CaError> {
    let files = certificate_files(tree, reader)?;
    if files.is_empty() {
        return Ok(0);
    }
    let mut bundle = Vec::new();
    // Link name → certificate; the last of several files with one name wins, as with `ln -sf`.
    let mut links: BTreeMap<String, (&str, Vec<Vec<u8>>)> = BTreeMap::new();
    for path in &files {
        let text = input::bytes(tree, reader, path)?;
        let certificates = pem::certificates(&text).map_err(|why| CaError::Pem { path: path.clone(), why })?;
        links.insert(pem_name(path), (path, certificates));
        bundle.extend_from_slice(&text);
        if !text.ends_with(b"\n") {
            bundle.push(b'\n');
        }
    }
    let origin = FINALIZER.origin();
    let mut next_id: BTreeMap<u32, u32> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (name, (path, certificates)) in &links {
        input::put(tree, &format!("{CERTS}/{name}"), Entry::symlink(format!("/{path}"), origin.clone()))?;
        let hashes = certificates.iter().map(|der| subject_hash(der)).collect::<Result<Vec<_>, _>>();
        let hashes = hashes.map_err(|why| CaError::Der { path: (*path).to_owned(), why })?;
        // openssl rehash skips files that do not have exactly one certificate, and duplicate
        // certificates.
        if let ([hash], true) = (hashes.as_slice(), seen.insert(certificates)) {
            let id = next_id.entry(*hash).or_default();
            input::put(tree, &format!("{CERTS}/{hash:08x}.{id}"), Entry::symlink(name.as_str(), origin.clone()))?;
            *id += 1;
        }
    }
    input::put(tree, BUNDLE, Entry::file(bundle, 0o644, origin))?;
    Ok(files.len())
}

/// Returns the name of the link to certificate `path` in `/etc/ssl/certs`.
fn pem_name(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let stem = name.strip_suffix(".crt").unwrap_or(name);
    let clean = |c| match c {
        ' ' | ',' => '_',
        '(' | ')' => '=',
        c => c,
    };
    format!("{}.pem", stem.chars().map(clean).collect::<String>())
}

/// Returns the packaged certificates in the configured order, then the local ones.
fn certificate_files(tree: &FileTree, reader: &dyn ContentReader) -> Result<Vec<String>, CaError> {
    let mut files = Vec::new();
    if tree.resolve(CONF).is_some() {
        for (index, line) in input::text(tree, reader, CONF)?.lines().enumerate() {
            if line.is_empty() || line.starts_with(['#', '!']) {
                continue;
            }
            let path = format!("{PACKAGED}/{line}");
            if tree.resolve(&path).and_then(|(_, entry)| entry.content()).is_none() {
                return Err(CaError::NotFound { line: index + 1, path });
            }
            files.push(path);
        }
    } else {
        files.extend(crt_files(tree, PACKAGED));
    }
    files.extend(crt_files(tree, LOCAL));
    Ok(files)
}

/// Like `find -L DIR -type f -name '*.crt' | sort`, but does not follow links to directories.
fn crt_files(tree: &FileTree, dir: &str) -> Vec<String> {
    let is_file = |path: &str| tree.resolve(path).is_some_and(|(_, entry)| entry.content().is_some());
    let paths = tree.below(dir).map(|(path, _)| path);
    paths.filter(|path| path.name().ends_with(".crt") && is_file(path.as_str())).map(ToString::to_string).collect()
}

/// `X509_NAME_hash` of the subject: the first four bytes, little-endian, of the SHA-1 of its
/// canonical encoding.
fn subject_hash(der: &[u8]) -> Result<u32, DerError> {
    let digest = Sha1::digest(der::canonical(der::subject(der)?)?);
    Ok(u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_tree::{LocalReader, Origin};

    #[test]
    fn a_broken_certificate_is_named() {
        let message = |text: &str| {
            let mut tree = FileTree::new();
            let entry = Entry::file(text.as_bytes().to_vec(), 0o644, Origin::Overlay("site".into()));
            input::put(&mut tree, "usr/local/share/ca-certificates/my.crt", entry).expect("a free path");
            finalize(&mut tree, &LocalReader).expect_err("broken").to_string()
        };
        assert!(message("hello").starts_with("/usr/local/share/ca-certificates/my.crt: it has no PEM certificate"));
        let text = "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n";
        assert_eq!(
            message(text),
            "/usr/local/share/ca-certificates/my.crt is not an X.509 certificate: the signed part is missing"
        );
    }

    #[test]
    fn link_names_have_no_blanks_or_parentheses() {
        assert_eq!(pem_name("usr/share/ca-certificates/a/B (c), d.crt"), "B_=c=__d.pem");
    }

    #[test]
    fn a_tree_without_certificates_is_not_changed() {
        let mut tree = FileTree::new();
        assert_eq!(finalize(&mut tree, &LocalReader).expect("nothing to do"), 0);
        assert!(tree.is_empty());
    }
}
