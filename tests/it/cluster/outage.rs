//! A server that is down for minutes, or overloaded.

use crate::cluster::agent::Machine;
use crate::cluster::control_plane::{ControlPlane, TOKEN};
use crate::cluster::joins::{seed, seed_with_authority};
use crate::cluster::refusals::forward;
use crate::cluster::tls::{new_key, public_key, sign};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How long the server is down, in seconds, unless KILN_OUTAGE_SECONDS is set (`make faults`: five
/// minutes).
const OUTAGE: u64 = 12;

/// Connections are refused until the server is up. The waits between attempts grow from one second
/// to thirty, each 50 to 100 % of that; the agent is idle in between.
#[test]
fn a_server_that_is_down() {
    let plane = ControlPlane::shared();
    let seconds = std::env::var("KILN_OUTAGE_SECONDS").map_or(OUTAGE, |text| text.parse().expect("a number"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let is_up = Arc::new(AtomicBool::new(false));
    let attempts: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let (serves, seen) = (Arc::clone(&is_up), Arc::clone(&attempts));
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            if serves.load(Ordering::SeqCst) {
                forward(client, TcpStream::connect(("127.0.0.1", plane.port)).expect("the API server"));
            } else {
                seen.lock().expect("the list").push(Instant::now());
            }
        }
    });
    let own = format!("127.0.0.1:{}", plane.port);
    let machine = Machine::new(&seed(plane, "outage", TOKEN, "").replace(&own, &format!("127.0.0.1:{port}")));
    let mut agent = machine.boot_by(&["/usr/bin/time", "-f", "%U %S"]);
    let down = Instant::now();
    while down.elapsed() < Duration::from_secs(seconds) {
        assert!(agent.runs(), "it gave up");
        thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(machine.status("state"), "waiting");
    assert!(!machine.is_joined());
    is_up.store(true, Ordering::SeqCst);
    let up = Instant::now();
    let (code, said) = agent.end();
    assert_eq!(code, Some(0), "{said:#?}");
    println!("down for {seconds} s, joined {:.1} s later", up.elapsed().as_secs_f64());

    let attempts = attempts.lock().expect("the list");
    let waits: Vec<f64> = attempts.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
    println!("{} attempts, with waits of {waits:.1?} s", attempts.len());
    let mut full = 1.0_f64;
    for wait in &waits {
        // On a busy machine, waits are longer than the agent intends.
        assert!(*wait >= full / 2.0 && *wait <= full + 3.0, "{wait} s where {full} s are due: {waits:.1?}");
        full = (2.0 * full).min(30.0);
    }
    assert!(waits.len() >= 3, "{waits:?}");
    // The agent is idle between attempts.
    let used: f64 =
        said.last().expect("time's line").split(' ').map(|word| word.parse::<f64>().expect("seconds")).sum();
    println!("{used} s of CPU");
    assert!(used < 2.0, "{used} s of CPU");
}

/// The answers of an overloaded API server (priority and fairness), a load balancer without
/// servers, and a failing etcd; and the minimum time in seconds that a node then waits.
const ANSWERS: [(&str, &str, f64); 4] = [
    ("429 Too Many Requests", "Retry-After: 4\r\n", 4.0),
    ("503 Service Unavailable", "", 1.0),
    ("429 Too Many Requests", "", 2.0),
    ("500 Internal Server Error", "Retry-After: 6\r\n", 6.0),
];

/// After each refusal the agent waits as long as the server requests, and longer than before.
#[test]
fn an_overloaded_server() {
    let plane = ControlPlane::shared();
    let key = new_key();
    let chain = sign(&plane.authority(), &public_key(&key), "/CN=balancer", "subjectAltName=IP:127.0.0.1", "now");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("TLS");
    let chain = vec![CertificateDer::from_pem_slice(chain.as_bytes()).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
    let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).expect("a server"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let asked: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let seen = Arc::clone(&asked);
    thread::spawn(move || {
        let mut answers = ANSWERS.iter();
        for client in listener.incoming().map_while(Result::ok) {
            seen.lock().expect("the list").push(Instant::now());
            match answers.next() {
                Some((status, header, _)) => refuse(client, &config, status, header),
                None => forward(client, TcpStream::connect(("127.0.0.1", plane.port)).expect("the API server")),
            }
        }
    });
    let machine = Machine::new(&seed_with_authority("overloaded", &format!("127.0.0.1:{port}"), &plane.ca(), TOKEN));
    let mut agent = machine.boot();
    for (status, _, _) in ANSWERS {
        let line = agent.wait_for(&format!("status {}: later", &status[..3]));
        assert!(!machine.is_joined(), "{line}");
        assert_eq!(machine.status("state"), "waiting");
    }
    let (code, said) = agent.end();
    assert_eq!(code, Some(0), "{said:#?}");
    assert_eq!(plane.requests("overloaded").len(), 1);
    let asked = asked.lock().expect("the list");
    let waits: Vec<f64> = asked.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
    println!("waits of {waits:.1?} s");
    for (wait, (status, _, least)) in waits.iter().zip(ANSWERS) {
        assert!(*wait >= least, "{wait} s after {status}, not {least}: {waits:.1?}");
    }
}

/// Answers one request and closes the connection.
fn refuse(client: TcpStream, config: &Arc<ServerConfig>, status: &str, header: &str) {
    let body = r#"{"kind":"Status","status":"Failure","message":"later"}"#;
    let mut tls = StreamOwned::new(ServerConnection::new(Arc::clone(config)).expect("TLS"), client);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        tls.read_exact(&mut byte).expect("a request");
        head.extend(byte);
    }
    write!(tls, "HTTP/1.1 {status}\r\n{header}Content-Length: {}\r\n\r\n{body}", body.len()).expect("sent");
    tls.conn.send_close_notify();
    tls.flush().expect("sent");
}
