//! Removes the bootstrap token from the volumes that delivered it, if they can be written.
//!
//! Only the token is overwritten, in place: the rest of the seed stays readable, and a reader sees
//! that it needs a new token.

use super::device::{self, Volume};
use super::volume::volumes;
use crate::discovery::Cluster;
use crate::root::RootDir;
use crate::seed::{MAX_SIZE, Seed};
use std::io;
use zeroize::Zeroizing;

/// A volume that contained the token.
#[derive(Debug)]
pub struct Forgotten {
    /// Its device.
    pub device: String,
    /// The result; an error says why the token is still there.
    pub result: io::Result<()>,
}

/// Overwrites the token of every seed on a volume that this machine may get its seed from. Volumes
/// without a token are left out.
pub fn forget(root: &RootDir) -> Vec<Forgotten> {
    let mut forgotten = Vec::new();
    for (label, path) in volumes(root) {
        for (device, mut volume) in device::find(root, label) {
            if let Some(result) = blank(root, &device, &mut volume, path).transpose() {
                forgotten.push(Forgotten { device, result });
            }
        }
    }
    forgotten
}

/// `None` if there is no token in the file at `path`.
fn blank(root: &RootDir, device: &str, volume: &mut Volume, path: &str) -> io::Result<Option<()>> {
    // No seed came from a volume that cannot be read.
    let (Ok(Some(pieces)), Ok(Some(mut bytes))) = (volume.locate(path, MAX_SIZE), volume.read(path, MAX_SIZE)) else {
        return Ok(None);
    };
    let found = tokens(&bytes);
    if found.is_empty() {
        return Ok(None);
    }
    found.iter().for_each(|token| without(&mut bytes, token.as_bytes()));
    if !tokens(&bytes).is_empty() {
        // The token was written with escapes.
        bytes.fill(b'\n');
    }
    device::overwrite(root, device, &pieces, &bytes).map(Some)
}

/// The tokens in a seed.
fn tokens(bytes: &[u8]) -> Vec<Zeroizing<String>> {
    let Ok(seed) = Seed::parse(bytes) else { return Vec::new() };
    let own = seed.token.as_ref().map(|token| token.reveal().to_owned());
    let in_kubeconfig = seed.discovery.kubeconfig.as_deref().and_then(|text| Cluster::parse(text).ok()?.token);
    [own, in_kubeconfig].into_iter().flatten().filter(|token| !token.is_empty()).map(Zeroizing::new).collect()
}

/// Overwrites each `token` in `bytes`, including its quotes, with a null of the same length.
fn without(bytes: &mut [u8], token: &[u8]) {
    let mut at = 0;
    while let Some(found) = bytes[at..].windows(token.len()).position(|window| window == token) {
        let (mut start, mut end) = (at + found, at + found + token.len());
        at = end;
        let quote = start.checked_sub(1).map(|before| bytes[before]).filter(|byte| matches!(byte, b'"' | b'\''));
        if quote.is_some() && bytes.get(end).copied() == quote {
            (start, end) = (start - 1, end + 1);
        }
        bytes[start..end].fill(b' ');
        bytes[start..end].iter_mut().zip(b"null").for_each(|(byte, letter)| *byte = *letter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "abcdef.0123456789abcdef";

    /// The seed after its token was removed.
    fn left(text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        tokens(text.as_bytes()).iter().for_each(|token| without(&mut bytes, token.as_bytes()));
        assert_eq!(bytes.len(), text.len());
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn the_remaining_document_is_a_seed_without_token() {
        let kubeconfig =
            "apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}]";
        let text = format!("kind: NodeSeed\nnodeName: n\ndiscovery:\n  kubeconfig: \"{{{kubeconfig}}}\"\n");
        assert_eq!(left(&text), text, "nothing to forget");
        for token in [format!("token: {TOKEN}"), format!("token: \"{TOKEN}\""), format!("token: '{TOKEN}' # {TOKEN}")] {
            let seed = format!("kind: NodeSeed\nnodeName: n\n{token}\n");
            let left = left(&seed);
            assert!(!left.contains(TOKEN), "{left}");
            let seed = Seed::parse(left.as_bytes()).unwrap_or_else(|error| panic!("{left}: {error}"));
            assert_eq!((seed.node_name.as_deref(), seed.token), (Some("n"), None), "{left}");
        }
        let json = format!(r#"{{"kind":"NodeSeed","token":"{TOKEN}"}}"#);
        assert!(Seed::parse(left(&json).as_bytes()).expect("a seed").token.is_none());
    }

    #[test]
    fn bytes_at_both_ends() {
        let mut bytes = TOKEN.as_bytes().to_vec();
        without(&mut bytes, TOKEN.as_bytes());
        assert_eq!(bytes, b"null                   ");
    }
}
