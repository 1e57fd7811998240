//! A TCP connection, optionally through a proxy and with TLS, that cannot outlast its deadline.

use super::http::{self, Request, Response};
use super::{NetError, Proxy, Resolver, Scheme, Url, Verify};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// The time limit for one address of a host to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// The time limit for a TLS handshake, and for a proxy to connect.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The means to reach servers.
#[derive(Debug, Clone)]
pub struct Network {
    /// Resolves names.
    pub resolver: Resolver,
    /// Chooses proxies.
    pub proxy: Proxy,
}

impl Network {
    /// Connects to the server of `url`, whose identity is verified according to `verify` if the URL
    /// is `https`.
    ///
    /// # Errors
    /// [`NetError`].
    pub fn connect(&self, url: &Url, verify: &Verify) -> Result<Connection, NetError> {
        let server = url.authority();
        let proxy = self.proxy.of(url);
        let mut stream = self.tcp(proxy.unwrap_or(url))?;
        stream.until(HANDSHAKE);
        if url.scheme == Scheme::Http {
            return Ok(Connection::new(server, Stream::Plain(stream), proxy.is_some().then(|| url.server())));
        }
        if let Some(proxy) = proxy {
            stream = tunnel(stream, proxy, &server)?;
        }
        let failed = |why: String| NetError::Tls { server: server.clone(), why };
        let name = ServerName::try_from(url.host.clone()).map_err(|error| failed(error.to_string()))?;
        let config = verify.config().map_err(|error| failed(error.to_string()))?;
        let client = ClientConnection::new(config, name).map_err(|error| failed(error.to_string()))?;
        let mut tls = StreamOwned::new(client, stream);
        while tls.conn.is_handshaking() {
            // The error contains rustls' text, with the names in the certificate instead of the
            // expected one.
            tls.conn.complete_io(&mut tls.sock).map_err(|error| failed(error.to_string()))?;
        }
        Ok(Connection::new(server, Stream::Tls(Box::new(tls)), None))
    }

    /// Connects to the first address of the host that accepts.
    fn tcp(&self, url: &Url) -> Result<Socket, NetError> {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in self.resolver.look_up(&url.host)? {
            match TcpStream::connect_timeout(&SocketAddr::new(address, url.port), CONNECT) {
                Ok(stream) => {
                    stream.set_nodelay(true).ok();
                    return Ok(Socket { stream, deadline: Instant::now() });
                }
                Err(error) => last = error,
            }
        }
        Err(NetError::Connect { server: url.authority(), source: last })
    }
}

/// Asks `proxy` for a tunnel to `server` (RFC 9110, CONNECT).
fn tunnel(stream: Socket, proxy: &Url, server: &str) -> Result<Socket, NetError> {
    let mut connection = Connection::new(proxy.authority(), Stream::Plain(stream), None);
    let request = Request { method: "CONNECT", target: server, headers: &[("Host", server)], body: &[] };
    let status = connection.send(&request, HANDSHAKE)?.head.status;
    match (status, connection.stream) {
        (200..=299, Some(Stream::Plain(socket))) => Ok(socket),
        _ => Err(NetError::Proxy { server: server.into(), proxy: proxy.to_string(), status }),
    }
}

/// A connection that requests are sent over, one after another.
pub struct Connection {
    pub(super) server: String,
    /// `None` when it cannot be used for another request.
    pub(super) stream: Option<Stream>,
    /// `http://HOST:PORT` before a target that a proxy fetches.
    pub(super) prefix: Option<String>,
    /// Bytes that were received but not yet used.
    pub(super) received: Vec<u8>,
}

impl Connection {
    fn new(server: String, stream: Stream, prefix: Option<String>) -> Self {
        Self { server, stream: Some(stream), prefix, received: Vec::new() }
    }

    /// Whether another request can be sent; the server may still have closed it.
    pub fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    /// Sends a request and reads the head of the response. Both, including the body, must complete
    /// within `limit`.
    ///
    /// # Errors
    /// [`NetError`]; the connection is closed then.
    pub fn send(&mut self, request: &Request<'_>, limit: Duration) -> Result<Response<'_>, NetError> {
        if let Some(stream) = &mut self.stream {
            stream.socket().until(limit);
        }
        http::send(self, request)
    }
}

pub(super) enum Stream {
    Plain(Socket),
    Tls(Box<StreamOwned<ClientConnection, Socket>>),
}

impl Stream {
    fn socket(&mut self) -> &mut Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => &mut tls.sock,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(tls) => match tls.read(buffer) {
                // Without a close_notify: the announced length shows whether something is missing.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
                result => result,
            },
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(tls) => tls.flush(),
        }
    }
}

/// A socket in which every operation ends by the deadline.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    deadline: Instant,
}

impl Socket {
    fn until(&mut self, limit: Duration) {
        self.deadline = Instant::now() + limit;
    }

    fn left(&self) -> io::Result<Option<Duration>> {
        match self.deadline.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => Ok(Some(left)),
            _ => Err(timed_out()),
        }
    }
}

fn timed_out() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
}

/// Linux reports "try again" when a socket times out.
fn in_words(result: io::Result<usize>) -> io::Result<usize> {
    result.map_err(|error| if error.kind() == io::ErrorKind::WouldBlock { timed_out() } else { error })
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        in_words(self.stream.read(buffer))
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        in_words(self.stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
