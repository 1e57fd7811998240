//! Requests to the Kubernetes API: JSON over a persistent connection, with several servers tried in
//! order.

use crate::net::{Connection, NetError, Network, Request, Url, Verify};
use crate::seed::Token;
use serde_json::Value;
use std::time::Duration;
use zeroize::Zeroizing;

/// The time limit of a request with its complete answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The largest answer or event of a watch, in bytes. A Node with hundreds of images is the largest
/// requested object.
const MAX_ANSWER: usize = 2 << 20;

/// Why the API gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No server answered.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The API rejected the request.
    #[error("{what}: the API server answered with status {status}{}", if .message.is_empty() { String::new() } else { format!(": {}", .message) })]
    Status {
        /// What was requested.
        what: String,
        /// HTTP status.
        status: u16,
        /// The server's message.
        message: String,
        /// The pause that the server requests.
        retry_after: Option<Duration>,
    },
    /// The answer is not JSON.
    #[error("{what}: the API server's answer is not JSON: {why}")]
    NoJson {
        /// What was requested.
        what: String,
        /// The cause.
        why: String,
    },
}

impl ApiError {
    /// The HTTP status of a rejection.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The pause that the server requests.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// A client of one cluster.
pub struct Api<'a> {
    network: &'a Network,
    servers: &'a [Url],
    verify: Verify,
    authorization: Option<Zeroizing<String>>,
    /// The index of the next or connected server.
    at: usize,
    connection: Option<Connection>,
    /// The number of sent requests.
    pub requests: u64,
}

impl<'a> Api<'a> {
    /// Makes a client of `servers`, which are verified according to `verify`. Without a token,
    /// requests are anonymous.
    pub fn new(network: &'a Network, servers: &'a [Url], verify: Verify, token: Option<&Token>) -> Self {
        let authorization = token.map(|token| Zeroizing::new(format!("Bearer {}", token.reveal())));
        Self { network, servers, verify, authorization, at: 0, connection: None, requests: 0 }
    }

    /// The server that answered last.
    pub fn server(&self) -> Option<&'a Url> {
        self.servers.get(self.at)
    }

    /// Gets an object; `what` describes the request in messages.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn get(&mut self, what: &str, path: &str) -> Result<Value, ApiError> {
        self.exchange(what, "GET", path, None)
    }

    /// Creates an object.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn create(&mut self, what: &str, path: &str, object: &Value) -> Result<Value, ApiError> {
        self.exchange(what, "POST", path, Some(object))
    }

    fn exchange(
        &mut self,
        what: &str,
        method: &'static str,
        path: &str,
        object: Option<&Value>,
    ) -> Result<Value, ApiError> {
        let body = object.map(Value::to_string).unwrap_or_default();
        let (status, retry_after, bytes) = self.with_connection(|connection, authorization| {
            let headers = headers(authorization, object.is_some());
            let request = Request { method, target: path, headers: &headers, body: body.as_bytes() };
            let response = connection.send(&request, PATIENCE)?;
            let (status, after) = (response.head.status, response.head.retry_after());
            Ok((status, after, response.bytes(MAX_ANSWER)?))
        })?;
        if !matches!(status, 200..=299) {
            return Err(refusal(what, status, retry_after, &bytes));
        }
        json(what, &bytes)
    }

    /// Watches: `event` is called with each event's type and object until it returns something.
    /// `None` when the server ends the watch, as it does after `limit`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn watch<T>(
        &mut self,
        what: &str,
        path: &str,
        limit: Duration,
        mut event: impl FnMut(&str, &Value) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        let target = format!("{path}&watch=1&timeoutSeconds={}", limit.as_secs());
        let mut refused = None;
        let seen = self.with_connection(|connection, authorization| {
            let headers = headers(authorization, false);
            let request = Request { method: "GET", target: &target, headers: &headers, body: &[] };
            let mut response = connection.send(&request, limit + PATIENCE)?;
            let (status, after) = (response.head.status, response.head.retry_after());
            if status != 200 {
                refused = Some(refusal(what, status, after, &response.bytes(MAX_ANSWER)?));
                return Ok(None);
            }
            let mut pending = Vec::new();
            while let Some(line) = response.line(&mut pending, MAX_ANSWER)? {
                let one = match json(what, &line) {
                    Ok(one) => one,
                    Err(error) => {
                        refused = Some(error);
                        return Ok(None);
                    }
                };
                if let Some(found) = event(one["type"].as_str().unwrap_or_default(), &one["object"]) {
                    return Ok(Some(found));
                }
            }
            Ok(None)
        })?;
        refused.map_or(Ok(seen), Err)
    }

    /// Runs `exchange` over the persistent connection, or over a new one to the first server that
    /// accepts, starting with the one that answered last. A server may close a persistent
    /// connection at any time, so a failed exchange over it is repeated. (All requests here can be
    /// repeated.)
    fn with_connection<T>(
        &mut self,
        mut exchange: impl FnMut(&mut Connection, Option<&str>) -> Result<T, NetError>,
    ) -> Result<T, NetError> {
        let authorization = self.authorization.as_ref().map(|text| text.as_str());
        if let Some(mut connection) = self.connection.take_if(|connection| connection.is_open()) {
            self.requests += 1;
            if let Ok(done) = exchange(&mut connection, authorization) {
                self.connection = Some(connection);
                return Ok(done);
            }
        }
        let mut last = None;
        for _ in 0..self.servers.len() {
            let Some(server) = self.servers.get(self.at) else { break };
            let result = self.network.connect(server, &self.verify).and_then(|mut connection| {
                self.requests += 1;
                let done = exchange(&mut connection, authorization)?;
                Ok((done, connection))
            });
            match result {
                Ok((done, connection)) => {
                    self.connection = Some(connection);
                    return Ok(done);
                }
                Err(error) => last = Some(error),
            }
            self.at = (self.at + 1) % self.servers.len();
        }
        Err(last.unwrap_or_else(|| NetError::CutOff("no server".into())))
    }
}

fn headers(authorization: Option<&str>, has_body: bool) -> Vec<(&'static str, &str)> {
    let mut headers = vec![("Accept", "application/json")];
    headers.extend(authorization.map(|value| ("Authorization", value)));
    if has_body {
        headers.push(("Content-Type", "application/json"));
    }
    headers
}

fn refusal(what: &str, status: u16, retry_after: Option<Duration>, bytes: &[u8]) -> ApiError {
    // A Status object; a page of a proxy has no message.
    let message = serde_json::from_slice::<Value>(bytes).ok();
    let message = message.as_ref().and_then(|status| status["message"].as_str()).unwrap_or_default();
    ApiError::Status { what: what.into(), status, message: printable(message), retry_after }
}

/// A server's message on one console line: without control characters and shortened.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect::<String>().trim().to_owned()
}

fn json(what: &str, bytes: &[u8]) -> Result<Value, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| ApiError::NoJson { what: what.into(), why: error.to_string() })
}
