//! Imitates dl.k8s.io and github.com on this host: both redirect to a server that fails at first.

use crate::upstream::server::{self, Request, Server};
use std::collections::BTreeMap;

/// Contents by URL without its scheme: `dl.k8s.io/release/…`.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// A server for `files`, each at `/<URL without its scheme>`. It answers as GitHub does, with a
/// redirect to a signed URL. There, the first request for a file gets status 503, the second one
/// half of the file before the connection is cut, and later ones succeed.
pub(super) fn start(files: Files) -> Server {
    Server::start(move |request, stream| {
        let (path, signed) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let found = |prefix: &str| path.strip_prefix(prefix).and_then(|name| files.get(name));
        if let (Some(bytes), "X-Amz-Signature=0123abcd&actor_id=0") = (found("/objects/"), signed) {
            return match request.nth {
                0 => server::answer(stream, "503 Service Unavailable", &[], b"try again"),
                1 => server::cut(request, stream, bytes, bytes.len() / 2),
                _ => server::ranged(request, stream, bytes),
            };
        }
        match found("/") {
            Some(_) => {
                let to = format!("Location: /objects{path}?X-Amz-Signature=0123abcd&actor_id=0");
                server::answer(stream, "302 Found", &[&to], b"")
            }
            None => server::answer(stream, "404 Not Found", &[], b"Not Found"),
        }
    })
}

/// The first requested byte of each request for the file `name` after the redirect.
pub(super) fn offsets(requests: &[Request], name: &str) -> Vec<usize> {
    let target = format!("/objects/{name}?");
    let of_file = requests.iter().filter(|request| request.target.starts_with(&target));
    of_file.map(|request| request.offset().unwrap_or(0)).collect()
}
