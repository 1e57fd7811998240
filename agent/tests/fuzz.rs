//! Runs the parsers of what servers and seeds send on mutated samples, for a part of
//! `KILN_FUZZ_SECONDS`, with the builder's harness.

use kiln_agent::discovery::{Cluster, signature, verify_jws};
use kiln_agent::net::{Network, Proxy, Request, Resolver, Url, Verify};
use kiln_agent::pki::{Certificate, request_spki};
use kiln_agent::seed::{Seed, Token};
use kiln_testing::fuzz::Fuzz;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

/// The largest body that is accepted, in bytes.
const LIMIT: usize = 64 << 10;

fn repair_nothing(_: &mut Vec<u8>) {}

/// A server that sends the bytes from the channel to each client, and closes the connection.
/// Returns its address.
fn server() -> (Url, Sender<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let (sender, answers) = channel::<Vec<u8>>();
    thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let Ok(answer) = answers.recv() else { return };
            // If the request were not read, closing would reset the connection.
            if client.read(&mut [0; 1024]).is_ok() {
                client.write_all(&answer).ok();
            }
        }
    });
    (Url::parse(&url).expect("an address"), sender)
}

/// Runs the reader of HTTP/1.1: heads, lengths, chunks, trailers; whole bodies and lines of a
/// watch.
#[test]
fn http_responses() {
    let (url, answers) = server();
    let network = Network { resolver: Resolver::new("", ""), proxy: Proxy::default() };
    let samples: [&[u8]; 5] = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\n{\"a\"\r\n3\r\n:1}\r\n0\r\nT: x\r\n\r\n",
        b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        b"HTTP/1.0 404 Not Found\r\nServer: x\r\n\r\nnothing\nhere\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ];
    let words: [&[u8]; 12] = [
        b"\r\n",
        b"\n",
        b"\r\n\r\n",
        b"0\r\n\r\n",
        b"ffffffffffffffff\r\n",
        b"-1",
        b": ",
        b"Content-Length: ",
        b"Transfer-Encoding: chunked\r\n",
        b"HTTP/1.1 ",
        b"HTTP/1.1 100 \r\n\r\n",
        b"\xff",
    ];
    let samples = samples.iter().map(|sample| sample.to_vec()).collect();
    let mut by_line = false;
    Fuzz { name: "http", samples, words: &words, repair: repair_nothing }.run(|bytes| {
        answers.send(bytes.to_vec()).expect("the server runs");
        by_line = !by_line;
        let mut connection = network.connect(&url, &Verify::Nothing).expect("connected");
        let request = Request { method: "GET", target: "/", headers: &[], body: &[] };
        let Ok(mut response) = connection.send(&request, Duration::from_secs(5)) else { return false };
        assert!((200..=599).contains(&response.head.status) || response.head.status < 200);
        if !by_line {
            return response.bytes(LIMIT).inspect(|body| assert!(body.len() <= LIMIT + 4096)).is_ok();
        }
        let mut pending = Vec::new();
        loop {
            match response.line(&mut pending, LIMIT) {
                Ok(Some(line)) => assert!(line.ends_with(b"\n")),
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    });
}

fn authority() -> (String, Vec<u8>) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = rcgen::CertificateParams::default().self_signed(&key).expect("a certificate");
    (kiln_agent::pki::pem::encode("CERTIFICATE", certificate.der()).to_string(), certificate.der().to_vec())
}

/// Runs on a cluster-info: the kubeconfig in it, and its signature, which only the token can make.
#[test]
fn cluster_infos() {
    use base64::Engine as _;
    let token = Token::parse("abcdef.0123456789abcdef").expect("a token");
    let data = base64::engine::general_purpose::STANDARD.encode(authority().0);
    let cluster =
        format!("{{name: '', cluster: {{server: 'https://10.0.0.1:6443', certificate-authority-data: {data}}}}}");
    let text = format!("apiVersion: v1\nclusters: [{cluster}]\nkind: Config\n");
    let jws = signature(&text, token.id(), token.secret());
    let words: [&[u8]; 10] = [
        b"\n",
        b"  ",
        b": ",
        b"- ",
        b"{",
        b"}",
        b"kind: Config",
        b"current-context: x",
        b"https://",
        b"insecure-skip-tls-verify: true",
    ];
    Fuzz { name: "kubeconfig", samples: vec![text.clone().into_bytes()], words: &words, repair: repair_nothing }.run(
        |bytes| {
            let Ok(changed) = std::str::from_utf8(bytes) else { return false };
            assert_eq!(verify_jws(changed, &jws, &token), changed == text);
            Cluster::parse(changed).inspect(|cluster| assert!(!cluster.trusted.authorities.is_empty())).is_ok()
        },
    );
}

#[test]
fn signatures() {
    let token = Token::parse("abcdef.0123456789abcdef").expect("a token");
    let jws = signature("content", token.id(), token.secret());
    let words: [&[u8]; 4] = [b".", b"..", b"=", b"eyJhbGciOiJub25lIn0"];
    let sample = jws.clone().into_bytes();
    Fuzz { name: "jws", samples: vec![sample], words: &words, repair: repair_nothing }.run(|bytes| {
        let Ok(changed) = std::str::from_utf8(bytes) else { return false };
        let is_believed = verify_jws("content", changed, &token);
        assert!(!is_believed || changed == jws, "{changed} is accepted as {jws}");
        is_believed
    });
}

#[test]
fn certificates() {
    let words: [&[u8]; 5] = [
        &[0x30, 0x80],
        &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
        &[0x17, 0x0d],
        &[0xa0, 0x03],
        &[0x06, 0x03, 0x55, 0x04, 0x03],
    ];
    Fuzz { name: "certificate", samples: vec![authority().1], words: &words, repair: repair_nothing }.run(|bytes| {
        let _ = request_spki(bytes);
        Certificate::parse(bytes).is_ok()
    });
}

#[test]
fn seeds() {
    let text = "kind: NodeSeed\nnodeName: a\napiServers: ['10.0.0.1:6443']\ntoken: abcdef.0123456789abcdef\ndiscovery: {caCertHashes: ['sha256:0000000000000000000000000000000000000000000000000000000000000000']}\n\
                kubelet: {nodeIP: 10.0.0.5, labels: {a: b}, taints: [{key: a, effect: NoSchedule}], podCIDR: 10.1.0.0/24, args: {v: '2'}}\n\
                files: {/etc/motd: {content: hello, mode: '0640', uid: 1}}\nntpServers: [a.example]\nproxy: {http: 'http://p:1', noProxy: [b]}\n";
    let words: [&[u8]; 10] = [b"\n", b"  ", b": ", b"- ", b"{", b"}", b"[", b"]", b"null", b"&a "];
    Fuzz { name: "seed", samples: vec![text.into()], words: &words, repair: repair_nothing }.run(|bytes| {
        let seed = Seed::parse(bytes);
        if let Err(error) = &seed {
            assert!(!error.to_string().contains("abcdef.0123456789abcdef"), "the token is in {error}");
        }
        seed.is_ok()
    });
}
