//! HTTP/1.1 for clients (RFC 9112): one request at a time, bodies by length, in chunks, or up to
//! the end.

use super::NetError;
use super::connection::{Connection, Stream};
use std::io::{Read as _, Write as _};
use std::time::Duration;
use zeroize::Zeroizing;

/// The longest head of a response, and the longest line in a chunked body.
const MAX_HEAD: usize = 16 << 10;
/// The most interim responses (1xx) before the final one.
const MAX_INTERIM: usize = 4;

/// A request. The target is a path, or `HOST:PORT` for CONNECT.
#[derive(Debug)]
pub struct Request<'a> {
    /// Method.
    pub method: &'static str,
    /// Path and query.
    pub target: &'a str,
    /// Headers besides `Host` (unless CONNECT), `User-Agent` and `Content-Length`.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body, sent when it is not empty or the method requires a body.
    pub body: &'a [u8],
}

/// Status and headers of a response.
#[derive(Debug)]
pub struct Head {
    /// Status code.
    pub status: u16,
    headers: Vec<(String, String)>,
}

impl Head {
    /// The value of a header; the name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// `Retry-After`, in seconds.
    pub fn retry_after(&self) -> Option<Duration> {
        self.header("retry-after")?.parse().ok().map(Duration::from_secs)
    }

    /// Whether a comma list in a header has `word`.
    fn lists(&self, name: &str, word: &str) -> bool {
        let values = self.headers.iter().filter(|(header, _)| header == name);
        values.flat_map(|(_, value)| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(word))
    }
}

/// A response whose body is still to be read.
pub struct Response<'a> {
    /// Status and headers.
    pub head: Head,
    connection: &'a mut Connection,
    body: Body,
    keep: bool,
}

/// The part of a body that is still to be received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    Length(u64),
    /// The rest of the current chunk; a new one begins at 0.
    Chunk(u64),
    UntilEnd,
    Done,
}

/// Sends `request` and reads the response's head.
pub(super) fn send<'a>(connection: &'a mut Connection, request: &Request<'_>) -> Result<Response<'a>, NetError> {
    let text = compose(connection, request);
    let mut stream = connection.stream.take().ok_or_else(|| NetError::CutOff(connection.server.clone()))?;
    let written = stream.write_all(&text).and_then(|()| stream.flush());
    written.map_err(|source| NetError::Io { server: connection.server.clone(), source })?;
    connection.stream = Some(stream);
    match receive(connection, request.method) {
        Ok((head, body, keep)) => {
            let mut response = Response { head, connection, body, keep };
            response.settle();
            Ok(response)
        }
        Err(error) => {
            connection.stream = None;
            Err(error)
        }
    }
}

fn compose(connection: &Connection, request: &Request<'_>) -> Zeroizing<Vec<u8>> {
    let prefix = connection.prefix.as_deref().unwrap_or_default();
    let mut text = Zeroizing::new(Vec::with_capacity(1024 + request.body.len()));
    let mut add = |part: &str| text.extend_from_slice(part.as_bytes());
    [request.method, " ", prefix, request.target, " HTTP/1.1\r\n"].into_iter().for_each(&mut add);
    let is_connect = request.method == "CONNECT";
    if !is_connect {
        ["Host: ", &connection.server, "\r\n"].into_iter().for_each(&mut add);
    }
    add(concat!("User-Agent: kiln-agent/", env!("CARGO_PKG_VERSION"), "\r\n"));
    for (name, value) in request.headers {
        [name, ": ", value, "\r\n"].into_iter().for_each(&mut add);
    }
    if !request.body.is_empty() || matches!(request.method, "POST" | "PUT") {
        ["Content-Length: ", &request.body.len().to_string(), "\r\n"].into_iter().for_each(&mut add);
    }
    add("\r\n");
    text.extend_from_slice(request.body);
    text
}

fn receive(connection: &mut Connection, method: &str) -> Result<(Head, Body, bool), NetError> {
    for _ in 0..=MAX_INTERIM {
        let (head, is_1_1) = read_head(connection)?;
        if matches!(head.status, 100..=199) {
            continue;
        }
        if method == "CONNECT" && matches!(head.status, 200..=299) {
            // What follows is not HTTP.
            return Ok((head, Body::Done, true));
        }
        let keep = is_1_1 && !head.lists("connection", "close");
        let body = match head.status {
            _ if method == "HEAD" => Body::Done,
            204 | 304 => Body::Done,
            _ => framing(&head).map_err(|why| no_http(connection, why))?,
        };
        return Ok((head, body, keep && body != Body::UntilEnd));
    }
    Err(no_http(connection, "it has too many interim responses"))
}

fn framing(head: &Head) -> Result<Body, &'static str> {
    match head.header("transfer-encoding") {
        Some(coding) if coding.eq_ignore_ascii_case("chunked") => return Ok(Body::Chunk(0)),
        Some(_) => return Err("it has an unknown transfer coding"),
        None => {}
    }
    let mut lengths = head.headers.iter().filter(|(name, _)| name == "content-length").map(|(_, value)| value.as_str());
    let Some(length) = lengths.next() else { return Ok(Body::UntilEnd) };
    if lengths.any(|other| other != length) || !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("its length is ambiguous");
    }
    match length.parse() {
        Ok(0) => Ok(Body::Done),
        Ok(length) => Ok(Body::Length(length)),
        Err(_) => Err("its length is ambiguous"),
    }
}

fn read_head(connection: &mut Connection) -> Result<(Head, bool), NetError> {
    let status_line = read_line(connection, MAX_HEAD)?;
    let (version, rest) = status_line.split_once(' ').unwrap_or_default();
    let is_1_1 = match version {
        "HTTP/1.1" => true,
        "HTTP/1.0" => false,
        _ => return Err(no_http(connection, "it has no status line")),
    };
    let digits = rest.split(' ').next().unwrap_or_default();
    let status = digits.parse().ok().filter(|status| digits.len() == 3 && (100..=599).contains(status));
    let Some(status) = status else { return Err(no_http(connection, "it has no status code")) };
    let mut headers = Vec::new();
    let mut left = MAX_HEAD;
    loop {
        let line = read_line(connection, left)?;
        if line.is_empty() {
            return Ok((Head { status, headers }, is_1_1));
        }
        left = left.saturating_sub(line.len() + 2);
        let Some((name, value)) = line.split_once(':') else {
            return Err(no_http(connection, "a header line has no colon"));
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

/// A line of at most `limit` bytes, without its line end.
fn read_line(connection: &mut Connection, limit: usize) -> Result<String, NetError> {
    loop {
        if let Some(end) = connection.received.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = connection.received.drain(..=end).collect();
            let line = line.strip_suffix(b"\r\n").or_else(|| line.strip_suffix(b"\n")).unwrap_or(&line);
            return String::from_utf8(line.to_vec()).map_err(|_| no_http(connection, "it is not UTF-8"));
        }
        if connection.received.len() > limit {
            return Err(NetError::TooLarge { server: connection.server.clone(), limit });
        }
        if fill(connection)? == 0 {
            return Err(NetError::CutOff(connection.server.clone()));
        }
    }
}

/// Receives more bytes; returns 0 at the end.
fn fill(connection: &mut Connection) -> Result<usize, NetError> {
    let mut block = [0; 4096];
    let read = connection.stream.as_mut().map_or(Ok(0), |stream: &mut Stream| stream.read(&mut block));
    match read {
        Ok(length) => {
            connection.received.extend_from_slice(&block[..length]);
            Ok(length)
        }
        Err(source) => Err(NetError::Io { server: connection.server.clone(), source }),
    }
}

fn no_http(connection: &Connection, why: &'static str) -> NetError {
    NetError::NoHttp { server: connection.server.clone(), why }
}

impl Response<'_> {
    /// The body, if it has at most `limit` bytes.
    ///
    /// # Errors
    /// [`NetError`].
    pub fn bytes(mut self, limit: usize) -> Result<Vec<u8>, NetError> {
        let mut bytes = Vec::new();
        while self.more(&mut bytes)? {
            if bytes.len() > limit {
                return Err(NetError::TooLarge { server: self.connection.server.clone(), limit });
            }
        }
        Ok(bytes)
    }

    /// The next line of the body, of at most `limit` bytes; `None` at its end. `pending` keeps the
    /// bytes after the line.
    ///
    /// # Errors
    /// [`NetError`].
    pub fn line(&mut self, pending: &mut Vec<u8>, limit: usize) -> Result<Option<Vec<u8>>, NetError> {
        loop {
            if let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                return Ok(Some(pending.drain(..=end).collect()));
            }
            if pending.len() > limit {
                return Err(NetError::TooLarge { server: self.connection.server.clone(), limit });
            }
            if !self.more(pending)? {
                return Ok(None);
            }
        }
    }

    /// Appends a part of the body; returns whether more may follow.
    fn more(&mut self, bytes: &mut Vec<u8>) -> Result<bool, NetError> {
        let result = self.step(bytes);
        if result.is_err() {
            self.connection.stream = None;
        }
        self.settle();
        result
    }

    fn step(&mut self, bytes: &mut Vec<u8>) -> Result<bool, NetError> {
        if let Body::Chunk(0) = self.body {
            self.body = self.next_chunk()?;
        }
        let wanted = match self.body {
            Body::Done => return Ok(false),
            Body::UntilEnd => u64::MAX,
            Body::Length(left) | Body::Chunk(left) => left,
        };
        if self.connection.received.is_empty() && fill(self.connection)? == 0 {
            if self.body == Body::UntilEnd {
                self.body = Body::Done;
                return Ok(false);
            }
            return Err(NetError::CutOff(self.connection.server.clone()));
        }
        let here = self.connection.received.len();
        let length = usize::try_from(wanted).unwrap_or(usize::MAX).min(here);
        bytes.extend(self.connection.received.drain(..length));
        let left = wanted - length as u64;
        self.body = match self.body {
            Body::Length(_) if left == 0 => Body::Done,
            Body::Length(_) => Body::Length(left),
            Body::Chunk(_) => {
                if left == 0 && !read_line(self.connection, MAX_HEAD)?.is_empty() {
                    return Err(no_http(self.connection, "a chunk does not end with a line end"));
                }
                Body::Chunk(left)
            }
            other => other,
        };
        Ok(true)
    }

    /// Reads a chunk's size; after the last chunk also the trailer.
    fn next_chunk(&mut self) -> Result<Body, NetError> {
        let line = read_line(self.connection, MAX_HEAD)?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        match u64::from_str_radix(digits, 16) {
            Ok(0) if hex => {
                let mut left = MAX_HEAD;
                loop {
                    let line = read_line(self.connection, left)?;
                    left = left.saturating_sub(line.len() + 2);
                    if line.is_empty() {
                        return Ok(Body::Done);
                    }
                }
            }
            Ok(size) if hex => Ok(Body::Chunk(size)),
            _ => Err(no_http(self.connection, "a chunk has no size")),
        }
    }

    /// Closes a connection that cannot be used for another request.
    fn settle(&mut self) {
        if self.body == Body::Done && !self.keep {
            self.connection.stream = None;
        }
    }
}

impl Drop for Response<'_> {
    /// Unread bytes would be taken for the next response.
    fn drop(&mut self) {
        if self.body != Body::Done {
            self.connection.stream = None;
            self.connection.received.clear();
        }
    }
}
