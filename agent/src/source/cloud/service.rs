//! Requests to a metadata service. Only answers with status 200 are trusted: the service is in the
//! hypervisor and never redirects.

use super::{Cloud, Fact, Made};
use crate::net::{NetError, Network, Request, Response, Url, Verify};
use crate::root::RootDir;
use crate::source::{Places, SourceError, volume};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use zeroize::Zeroizing;

const BASE: &str = "http://169.254.169.254";
/// The time limit of one complete request.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest line: a name, an id.
const MAX_LINE: usize = 4 << 10;
/// The largest document.
const MAX_DOCUMENT: usize = 256 << 10;

pub(super) struct Service<'a> {
    cloud: &'static Cloud,
    root: &'a RootDir,
    network: &'a Network,
    token: Option<Zeroizing<String>>,
    /// Documents by path.
    documents: BTreeMap<&'static str, Value>,
}

impl<'a> Service<'a> {
    pub(super) fn new(cloud: &'static Cloud, places: &Places<'a>) -> Self {
        Self { cloud, root: places.root, network: places.network, token: None, documents: BTreeMap::new() }
    }

    /// Gets the page at `path` with at most `limit` bytes; `None` if there is none.
    pub(super) fn get(&mut self, path: &str, limit: usize) -> Result<Option<Zeroizing<Vec<u8>>>, SourceError> {
        self.open()?;
        let mut headers = vec![self.cloud.header];
        if let (Some(session), Some(token)) = (&self.cloud.session, &self.token) {
            headers.push((session.header, token));
        }
        self.request("GET", path, &headers, limit)
    }

    /// Gets the session's token if the service has sessions.
    fn open(&mut self) -> Result<(), SourceError> {
        if let (None, Some(session)) = (&self.token, &self.cloud.session) {
            // Without a session, there is no fallback to the older version of the service, which
            // answers forwarded requests from anyone.
            let token = self.request("PUT", session.path, &[session.request], MAX_LINE)?.and_then(line);
            self.token = Some(Zeroizing::new(token.ok_or(SourceError::NoSession { cloud: self.cloud.name })?));
        }
        Ok(())
    }

    fn request(
        &self,
        method: &'static str,
        path: &str,
        headers: &[(&str, &str)],
        limit: usize,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, SourceError> {
        let base = Url::parse(BASE).map_err(NetError::from)?;
        let mut connection = self.network.connect(&base, &Verify::Nothing)?;
        let response = connection.send(&Request { method, target: path, headers, body: &[] }, PATIENCE)?;
        match response.head.status {
            200 | 204 | 404 if !self.is_genuine(&response) => {
                Err(SourceError::Impostor { cloud: self.cloud.name, header: self.cloud.header.0 })
            }
            200 => Ok(Some(Zeroizing::new(response.bytes(limit)?))),
            204 | 404 => Ok(None),
            status => {
                Err(SourceError::Cloud { cloud: self.cloud.name, status, retry_after: response.head.retry_after() })
            }
        }
    }

    /// Whether an answer has the header that only this service sends.
    fn is_genuine(&self, response: &Response<'_>) -> bool {
        let (name, value) = self.cloud.header;
        !self.cloud.is_echoed || response.head.header(&name.to_ascii_lowercase()) == Some(value)
    }

    /// Makes a value from facts; `None` if one of them is missing.
    pub(super) fn make(&mut self, made: Made) -> Result<Option<String>, SourceError> {
        if made.of.is_empty() {
            return Ok(None);
        }
        let facts = made.of.iter().map(|fact| self.fact(*fact)).collect::<Result<Option<Vec<String>>, _>>()?;
        Ok(facts.map(|facts| (made.by)(&facts)))
    }

    fn fact(&mut self, fact: Fact) -> Result<Option<String>, SourceError> {
        match fact {
            Fact::Line(path) => Ok(self.get(path, MAX_LINE)?.and_then(line)),
            Fact::Json(path, field) => Ok(self.document(path)?[field].as_str().and_then(printable)),
        }
    }

    /// A document, from the config drive if there is one, because the service may then be missing.
    /// Null if there is no document.
    fn document(&mut self, path: &'static str) -> Result<&Value, SourceError> {
        if !self.documents.contains_key(path) {
            let bytes = match volume::config_drive_file(self.root, path.trim_start_matches('/'), MAX_DOCUMENT)? {
                Some(found) => Some(found.bytes),
                None => self.get(path, MAX_DOCUMENT)?,
            };
            let document = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
            self.documents.insert(path, document);
        }
        Ok(&self.documents[path])
    }
}

fn line(bytes: Zeroizing<Vec<u8>>) -> Option<String> {
    std::str::from_utf8(&bytes).ok().and_then(printable)
}

/// A string of one line that is not empty.
fn printable(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty() && !text.contains(char::is_control)).then(|| text.to_owned())
}
