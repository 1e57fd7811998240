//! A small HTTP server that misbehaves on demand.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;

/// One received request.
#[derive(Debug, Clone)]
pub struct Request {
    /// The number of earlier requests for this target.
    pub nth: usize,
    /// `GET` or `CONNECT`.
    pub method: String,
    /// The target as in the request line.
    pub target: String,
    /// Headers, names in lower case.
    pub headers: BTreeMap<String, String>,
}

impl Request {
    /// The first requested byte.
    pub fn offset(&self) -> Option<usize> {
        self.headers.get("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// Both ends of a connection's plain or TLS stream.
pub trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

type Handler = dyn Fn(&Request, &mut dyn Stream) -> std::io::Result<()> + Send + Sync;

/// Serves until dropped; each connection has a thread and serves one request.
pub struct Server {
    address: SocketAddr,
    log: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
    scheme: &'static str,
}

impl Server {
    /// Starts a server that answers with what `handler` writes.
    pub fn start(handler: impl Fn(&Request, &mut dyn Stream) -> std::io::Result<()> + Send + Sync + 'static) -> Self {
        Self::listen(None, Arc::new(handler))
    }

    /// Starts the same server with TLS.
    pub fn start_tls(
        config: Arc<rustls::ServerConfig>,
        handler: impl Fn(&Request, &mut dyn Stream) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::listen(Some(config), Arc::new(handler))
    }

    fn listen(tls: Option<Arc<rustls::ServerConfig>>, handler: Arc<Handler>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (log, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let scheme = if tls.is_some() { "https" } else { "http" };
        let server = Self { address, log: log.clone(), stop: stop.clone(), scheme };
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(SeqCst) {
                    break;
                }
                let Ok(mut stream) = stream else { continue };
                let (log, handler, tls) = (log.clone(), handler.clone(), tls.clone());
                // Some tests have clients that close the connection early.
                thread::spawn(move || match tls {
                    None => serve(&mut stream, &log, &*handler),
                    Some(config) => {
                        let connection = rustls::ServerConnection::new(config).expect("a configuration");
                        serve(&mut rustls::StreamOwned::new(connection, stream), &log, &*handler)
                    }
                });
            }
        });
        server
    }

    /// `http://127.0.0.1:port/path`.
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Returns all requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.log.lock().expect("log").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
        // Wakes up the listener.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(stream: &mut dyn Stream, log: &Mutex<Vec<Request>>, handler: &Handler) -> std::io::Result<()> {
    let mut lines = BufReader::new(&mut *stream).lines();
    let first = lines.next().unwrap_or(Ok(String::new()))?;
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let mut request = Request { nth: 0, method: method.into(), target: target.into(), headers };
    {
        let mut log = log.lock().expect("log");
        request.nth = log.iter().filter(|earlier| earlier.target == request.target).count();
        log.push(request.clone());
    }
    handler(&request, stream)?;
    stream.flush()
}

/// Writes a whole answer.
pub fn answer(stream: &mut dyn Stream, status: &str, headers: &[&str], body: &[u8]) -> std::io::Result<()> {
    head(stream, status, headers, body.len())?;
    stream.write_all(body)
}

/// Writes the head of an answer for a body of `length` bytes.
pub fn head(stream: &mut dyn Stream, status: &str, headers: &[&str], length: usize) -> std::io::Result<()> {
    let mut text = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n");
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    stream.write_all(text.as_bytes())?;
    stream.write_all(b"\r\n")
}

/// Serves `body` correctly, from the requested offset.
pub fn ranged(request: &Request, stream: &mut dyn Stream, body: &[u8]) -> std::io::Result<()> {
    match request.offset() {
        None => answer(stream, "200 OK", &[], body),
        Some(offset) if offset >= body.len() => {
            let range = format!("Content-Range: bytes */{}", body.len());
            answer(stream, "416 Range Not Satisfiable", &[&range], b"")
        }
        Some(offset) => {
            let range = format!("Content-Range: bytes {offset}-{}/{}", body.len() - 1, body.len());
            answer(stream, "206 Partial Content", &[&range], &body[offset..])
        }
    }
}

/// Serves only the next `count` bytes of what it announces, then closes the connection.
pub fn cut(request: &Request, stream: &mut dyn Stream, body: &[u8], count: usize) -> std::io::Result<()> {
    let offset = request.offset().unwrap_or(0);
    let range = format!("Content-Range: bytes {offset}-{}/{}", body.len() - 1, body.len());
    let rest = &body[offset..];
    match request.offset() {
        None => head(stream, "200 OK", &[], rest.len())?,
        Some(_) => head(stream, "206 Partial Content", &[&range], rest.len())?,
    }
    stream.write_all(&rest[..count.min(rest.len())])
}
