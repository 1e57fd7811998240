//! Tests of trusted certificates, and of redirects away from https.

use super::config;
use super::server::{Server, answer};
use kiln_source::http::{Client, HttpConfig, HttpErrorKind, ProxyConfig};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;

/// A server's TLS settings, and the PEM text of the certificate to trust.
fn certificate() -> (Arc<rustls::ServerConfig>, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "mirror.invalid".to_owned()])
        .expect("a certificate");
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a key that fits");
    (Arc::new(config), made.cert.pem())
}

fn trusting(ca_file: &Path, proxy: ProxyConfig) -> Client {
    Client::new(HttpConfig { ca_file: Some(ca_file.to_owned()), proxy, ..config() })
}

#[test]
fn only_trusted_servers_are_accepted() {
    let (tls, pem) = certificate();
    let server = Server::start_tls(tls, |_, stream| answer(stream, "200 OK", &[], b"secret"));
    let error = Client::new(config()).get_bytes(&server.url("/").into(), 10).expect_err("self-signed");
    assert!(matches!(error.kind, HttpErrorKind::Tls { .. }) && error.attempts == 1, "{error:?}");
    assert!(error.to_string().contains("SSL_CERT_FILE"), "{error}");

    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), format!("# the company's\n{pem}")).expect("written");
    let bytes = trusting(file.path(), ProxyConfig::default()).get_bytes(&server.url("/").into(), 10).expect("trusted");
    assert_eq!(bytes, b"secret");
}

#[test]
fn a_bad_ca_file_is_an_error_not_ignored() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    for path in [file.path(), Path::new("/nonexistent/ca.pem")] {
        let error =
            trusting(path, ProxyConfig::default()).get_bytes(&"https://127.0.0.1:9/".into(), 10).expect_err("no CA");
        let text = error.to_string();
        assert!(matches!(error.kind, HttpErrorKind::Roots { .. }), "{text}");
        assert!(text.contains(&path.display().to_string()) && text.contains("SSL_CERT_FILE"), "{text}");
    }
}

#[test]
fn https_never_becomes_http() {
    let (tls, pem) = certificate();
    let plain = Server::start(|_, stream| answer(stream, "200 OK", &[], b"anything"));
    let location = format!("Location: {}", plain.url("/x"));
    let server = Server::start_tls(tls, move |_, stream| answer(stream, "302 Found", &[&location], b""));
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), pem).expect("written");
    let error =
        trusting(file.path(), ProxyConfig::default()).get_bytes(&server.url("/").into(), 10).expect_err("downgrade");
    assert!(matches!(&error.kind, HttpErrorKind::Downgrade { to } if *to == plain.url("/x").into()), "{error}");
    assert_eq!(plain.requests().len(), 0);
}

#[test]
fn a_proxy_tunnels_tls_to_the_real_server() {
    let (tls, pem) = certificate();
    let server = Server::start_tls(tls, |_, stream| answer(stream, "200 OK", &[], b"secret"));
    let proxy = tunnel_to(server.address());
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), pem).expect("written");
    let vars = [("https_proxy", format!("http://{}", proxy.address))];
    let client = trusting(file.path(), ProxyConfig::from_vars(vars).expect("a proxy"));
    assert_eq!(client.get_bytes(&"https://mirror.invalid/x".into(), 10).expect("tunnelled"), b"secret");
    assert_eq!(server.requests()[0].target, "/x");
    assert_eq!(proxy.asked.join().expect("a tunnel"), "CONNECT mirror.invalid:443 HTTP/1.1");
}

struct Tunnel {
    address: String,
    /// The first line of the one request it gets.
    asked: thread::JoinHandle<String>,
}

/// A proxy that connects every client to `target`.
fn tunnel_to(target: String) -> Tunnel {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let asked = thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("a connection");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).expect("a request");
            request.push(byte[0]);
        }
        let mut upstream = TcpStream::connect(target).expect("connected");
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").expect("written");
        let (mut from, mut to) = (client.try_clone().expect("a clone"), upstream.try_clone().expect("a clone"));
        thread::spawn(move || std::io::copy(&mut from, &mut to));
        thread::spawn(move || std::io::copy(&mut upstream, &mut client));
        String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned()
    });
    Tunnel { address, asked }
}
