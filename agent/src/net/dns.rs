//! Host names: `/etc/hosts`, then the name servers of `/etc/resolv.conf` (RFC 1035 over UDP, over
//! TCP when truncated).
//!
//! glibc's resolver loads shared libraries, which a static program cannot depend on.

use super::random;
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

/// The time limit for one server.
const PATIENCE: Duration = Duration::from_secs(2);
/// The number of times that all servers are asked.
const ATTEMPTS: u32 = 2;
/// As in glibc, further name servers and search domains are ignored.
const MAX_SERVERS: usize = 3;
const MAX_SEARCH: usize = 6;
/// The most bytes of a configuration file that are read.
const MAX_FILE: u64 = 1 << 20;

const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
const CLASS_IN: u16 = 1;
const RCODE_NXDOMAIN: u8 = 3;

/// Why a name has no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// No name server is configured.
    #[error("looking up {0}: /etc/resolv.conf does not name a server")]
    NoServer(String),
    /// The servers answered that the name does not exist.
    #[error("looking up {0}: there is no such name")]
    NoName(String),
    /// No server gave a usable answer.
    #[error("looking up {name}: no name server answered ({servers})")]
    Silent {
        /// The name.
        name: String,
        /// The servers that were asked.
        servers: String,
    },
}

/// Looks names up with the files below a root directory.
#[derive(Debug, Clone)]
pub struct Resolver {
    hosts: String,
    servers: Vec<SocketAddr>,
    search: Vec<String>,
    ndots: usize,
}

impl Resolver {
    /// Reads `etc/hosts` and `etc/resolv.conf` below `root`; a missing file counts as empty.
    pub fn read(root: &Path) -> Self {
        let text = |name: &str| {
            let mut text = String::new();
            if let Ok(file) = fs::File::open(root.join(name)) {
                file.take(MAX_FILE).read_to_string(&mut text).ok();
            }
            text
        };
        Self::new(&text("etc/hosts"), &text("etc/resolv.conf"))
    }

    /// Makes a resolver from the texts of hosts(5) and resolv.conf(5).
    pub fn new(hosts: &str, resolv_conf: &str) -> Self {
        let mut resolver = Self { hosts: hosts.into(), servers: Vec::new(), search: Vec::new(), ndots: 1 };
        for line in resolv_conf.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") if resolver.servers.len() < MAX_SERVERS => {
                    resolver.servers.extend(words.next().and_then(server));
                }
                Some("search" | "domain") => {
                    let domains = words.map(|domain| domain.trim_matches('.').to_ascii_lowercase());
                    resolver.search = domains.filter(|domain| !domain.is_empty()).take(MAX_SEARCH).collect();
                }
                Some("options") => {
                    let ndots = words.filter_map(|word| word.strip_prefix("ndots:")?.parse().ok());
                    resolver.ndots = ndots.max().unwrap_or(resolver.ndots).min(15);
                }
                _ => {}
            }
        }
        resolver
    }

    /// All addresses of `host`; if `host` is an address, the address itself.
    ///
    /// # Errors
    /// [`DnsError`].
    pub fn look_up(&self, host: &str) -> Result<Vec<IpAddr>, DnsError> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let host = host.to_ascii_lowercase();
        let known = in_hosts(&self.hosts, host.trim_end_matches('.'));
        if !known.is_empty() {
            return Ok(known);
        }
        if self.servers.is_empty() {
            return Err(DnsError::NoServer(host));
        }
        let mut silent = false;
        for name in self.candidates(&host) {
            match self.ask_all(&name) {
                Some(addresses) if !addresses.is_empty() => return Ok(addresses),
                Some(_) => {}
                None => silent = true,
            }
        }
        if silent {
            let servers = self.servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            return Err(DnsError::Silent { name: host, servers });
        }
        Err(DnsError::NoName(host))
    }

    /// The names to try, according to `search` and `ndots` of resolv.conf(5).
    fn candidates(&self, host: &str) -> Vec<String> {
        if let Some(absolute) = host.strip_suffix('.') {
            return vec![absolute.to_owned()];
        }
        let mut names: Vec<String> = self.search.iter().map(|domain| format!("{host}.{domain}")).collect();
        let at = if host.matches('.').count() >= self.ndots { 0 } else { names.len() };
        names.insert(at, host.to_owned());
        names
    }

    /// IPv4 addresses, then IPv6 addresses; `None` if neither query was answered.
    fn ask_all(&self, name: &str) -> Option<Vec<IpAddr>> {
        let answers = [TYPE_A, TYPE_AAAA].map(|kind| self.ask(name, kind));
        if answers.iter().all(Option::is_none) {
            return None;
        }
        Some(answers.into_iter().flatten().flatten().collect())
    }

    fn ask(&self, name: &str, kind: u16) -> Option<Vec<IpAddr>> {
        let query = Query::new(name, kind)?;
        for _ in 0..ATTEMPTS {
            for server in &self.servers {
                if let Some(addresses) = query.over_udp(*server) {
                    return Some(addresses);
                }
            }
        }
        None
    }
}

fn server(text: &str) -> Option<SocketAddr> {
    // A zone (fe80::1%eth0) would need the number of the interface.
    match text.parse::<IpAddr>() {
        Ok(address) => Some(SocketAddr::new(address, 53)),
        // `ADDRESS:PORT` is not valid in resolv.conf(5), but tests without privileges need it.
        Err(_) => text.parse().ok(),
    }
}

fn in_hosts(hosts: &str, host: &str) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for line in hosts.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(Ok(address)) = words.next().map(str::parse) else { continue };
        if words.any(|name| name.eq_ignore_ascii_case(host)) {
            addresses.push(address);
        }
    }
    addresses
}

/// A query with one question.
struct Query {
    id: u16,
    kind: u16,
    message: Vec<u8>,
}

/// A server's answer.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Addresses(Vec<IpAddr>),
    Truncated,
    /// Not an answer to this query.
    Foreign,
    /// The server cannot answer or refuses to.
    Failed,
}

impl Query {
    fn new(name: &str, kind: u16) -> Option<Self> {
        let id = u16::from_be_bytes(random());
        let mut message = Vec::with_capacity(name.len() + 18);
        message.extend(id.to_be_bytes());
        // Recursion desired; one question.
        message.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        for label in name.split('.') {
            let length = u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length))?;
            message.push(length);
            message.extend(label.bytes());
        }
        message.push(0);
        message.extend(kind.to_be_bytes());
        message.extend(CLASS_IN.to_be_bytes());
        (message.len() <= 12 + 255 + 4).then_some(Self { id, kind, message })
    }

    /// `None` if the server is silent or fails.
    fn over_udp(&self, server: SocketAddr) -> Option<Vec<IpAddr>> {
        let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).ok()?;
        // Receives only datagrams of this server.
        socket.connect(server).ok()?;
        socket.send(&self.message).ok()?;
        let deadline = Instant::now() + PATIENCE;
        let mut datagram = [0; 4096];
        loop {
            let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            socket.set_read_timeout(Some(left)).ok()?;
            let length = socket.recv(&mut datagram).ok()?;
            match self.answer(&datagram[..length]) {
                Answer::Addresses(addresses) => return Some(addresses),
                Answer::Truncated => return self.over_tcp(server),
                Answer::Failed => return None,
                Answer::Foreign => {}
            }
        }
    }

    fn over_tcp(&self, server: SocketAddr) -> Option<Vec<IpAddr>> {
        let mut stream = TcpStream::connect_timeout(&server, PATIENCE).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.set_write_timeout(Some(PATIENCE)).ok()?;
        let length = u16::try_from(self.message.len()).ok()?;
        stream.write_all(&[&length.to_be_bytes()[..], &self.message].concat()).ok()?;
        let mut length = [0; 2];
        stream.read_exact(&mut length).ok()?;
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut message).ok()?;
        match self.answer(&message) {
            Answer::Addresses(addresses) => Some(addresses),
            _ => None,
        }
    }

    /// Reads a response. The answer section is trusted completely: the server has followed aliases.
    fn answer(&self, message: &[u8]) -> Answer {
        let word = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
        let question = &self.message[12..];
        let echoed = message.get(12..12 + question.len());
        let is_ours = word(0) == Some(self.id)
            && message.get(2).is_some_and(|flags| flags & 0x80 != 0)
            && word(4) == Some(1)
            && echoed.is_some_and(|echoed| echoed.eq_ignore_ascii_case(question));
        if !is_ours {
            return Answer::Foreign;
        }
        match message[3] & 0x0f {
            RCODE_NXDOMAIN => return Answer::Addresses(Vec::new()),
            0 => {}
            _ => return Answer::Failed,
        }
        if message[2] & 0x02 != 0 {
            return Answer::Truncated;
        }
        let mut found = BTreeSet::new();
        let mut at = 12 + question.len();
        for _ in 0..word(6).unwrap_or_default() {
            let Some(record) = name_end(message, at) else { return Answer::Failed };
            let (Some(kind), Some(class), Some(length)) = (word(record), word(record + 2), word(record + 8)) else {
                return Answer::Failed;
            };
            let start = record + 10;
            let Some(data) = message.get(start..start + usize::from(length)) else { return Answer::Failed };
            if kind == self.kind && class == CLASS_IN {
                if let Ok(octets) = <[u8; 4]>::try_from(data) {
                    found.insert(IpAddr::from(octets));
                } else if let Ok(octets) = <[u8; 16]>::try_from(data) {
                    found.insert(IpAddr::from(octets));
                }
            }
            at = start + data.len();
        }
        Answer::Addresses(found.into_iter().collect())
    }
}

/// The end of the name at `at`; a compression pointer ends it and is not followed.
fn name_end(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            0xc0.. => return Some(at + 2),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::thread;

    /// A response to `query` with records (type, data), the owner compressed to the question's
    /// name.
    fn response(query: &[u8], flags: [u8; 2], records: &[(u16, &[u8])]) -> Vec<u8> {
        let mut message = query.to_vec();
        message[2..4].copy_from_slice(&flags);
        message[6..8].copy_from_slice(&u16::try_from(records.len()).expect("few").to_be_bytes());
        for (kind, data) in records {
            message.extend([0xc0, 12]);
            message.extend(kind.to_be_bytes());
            message.extend([0, 1, 0, 0, 0, 60]);
            message.extend(u16::try_from(data.len()).expect("short").to_be_bytes());
            message.extend(*data);
        }
        message
    }

    /// Serves `records` over UDP (cut off) and TCP for questions of type A about `name`.
    fn serve(name: &'static str, records: &'static [(u16, &[u8])], truncate: bool) -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let socket = UdpSocket::bind(address).expect("the same port");
        let answer = move |query: &[u8]| {
            let asked = Query::new(name, TYPE_A).expect("a query").message;
            match query[12..] == asked[12..] {
                true => response(query, [0x81, 0x80], records),
                false => response(query, [0x81, 0x83], &[]),
            }
        };
        thread::spawn(move || {
            let mut datagram = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut datagram) {
                let full = answer(&datagram[..length]);
                let cut = response(&datagram[..length], [0x83, 0x80], &[]);
                // Something that is not an answer arrives first.
                socket.send_to(b"\0\0\x81\x80", from).expect("sent");
                socket.send_to(if truncate { &cut } else { &full }, from).expect("sent");
            }
        });
        thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let mut length = [0; 2];
                stream.read_exact(&mut length).expect("a length");
                let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
                stream.read_exact(&mut query).expect("a query");
                let full = answer(&query);
                let length = u16::try_from(full.len()).expect("short").to_be_bytes();
                stream.write_all(&[&length[..], &full].concat()).expect("sent");
            }
        });
        format!("nameserver {address}\nsearch example\n")
    }

    fn v4(octets: [u8; 4]) -> IpAddr {
        octets.into()
    }

    #[test]
    fn addresses_and_hosts() {
        let resolver = Resolver::new("10.0.0.1 api api.example # x\nfd00::1\tAPI\nbad api\n", "");
        assert_eq!(resolver.look_up("10.1.2.3"), Ok(vec![v4([10, 1, 2, 3])]));
        assert_eq!(resolver.look_up("Api"), Ok(vec![v4([10, 0, 0, 1]), "fd00::1".parse().expect("an address")]));
        assert_eq!(resolver.look_up("x"), Err(DnsError::NoServer("x".into())));
    }

    #[test]
    fn servers_are_asked() {
        // An alias comes first, as in answers of recursive servers.
        const RECORDS: [(u16, &[u8]); 3] = [(5, b"\x01a\xc0\x0c"), (1, &[10, 0, 0, 2]), (1, &[10, 0, 0, 1])];
        for truncate in [false, true] {
            let resolver = Resolver::new("", &serve("api.example", &RECORDS, truncate));
            let found = Ok(vec![v4([10, 0, 0, 1]), v4([10, 0, 0, 2])]);
            assert_eq!(resolver.look_up("api"), found, "search");
            assert_eq!(resolver.look_up("api.example"), found);
            assert_eq!(resolver.look_up("other.example."), Err(DnsError::NoName("other.example.".into())));
        }
    }

    #[test]
    fn a_silent_server_is_named() {
        let deaf = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let address = deaf.local_addr().expect("an address");
        drop(deaf);
        let resolver = Resolver::new("", &format!("nameserver {address}\n"));
        assert_eq!(resolver.look_up("api"), Err(DnsError::Silent { name: "api".into(), servers: address.to_string() }));
    }

    #[test]
    fn names_are_tried_in_the_order_of_resolv_conf() {
        let resolver = Resolver::new("", "search a.example b.example.\noptions ndots:2 edns0\n");
        assert_eq!(resolver.candidates("x.y"), ["x.y.a.example", "x.y.b.example", "x.y"]);
        assert_eq!(resolver.candidates("x.y.z"), ["x.y.z", "x.y.z.a.example", "x.y.z.b.example"]);
        assert_eq!(resolver.candidates("x."), ["x"]);
    }

    proptest! {
        #[test]
        fn arbitrary_messages_never_panic(message in prop::collection::vec(any::<u8>(), 0..100), tail in prop::collection::vec(any::<u8>(), 0..100)) {
            let query = Query::new("api.example", TYPE_A).expect("a query");
            let _ = query.answer(&message);
            let mut near = response(&query.message, [0x81, 0x80], &[]);
            near[7] = 3;
            near.extend(tail);
            let _ = query.answer(&near);
        }
    }
}
