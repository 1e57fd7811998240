//! Connections to servers: names, IPv6, proxies, several endpoints; and seeds from HTTPS servers.

use crate::cluster::agent::Machine;
use crate::cluster::control_plane::{ControlPlane, TOKEN, free_ports};
use crate::cluster::joins::{seed, seed_with_authority};
use crate::cluster::refusals::forward;
use crate::cluster::tls::{Authority, Server};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

fn write(machine: &Machine, path: &str, text: &str) {
    let path = machine.at(path);
    fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
    fs::write(path, text).expect("written");
}

/// A machine whose seed has `servers` instead of the API server's address, and `fields`.
fn machine(node: &str, servers: &str, fields: &str) -> Machine {
    let plane = ControlPlane::shared();
    let own = format!("\"127.0.0.1:{}\"", plane.port);
    Machine::new(&seed(plane, node, TOKEN, fields).replace(&own, servers))
}

fn server_of(machine: &Machine) -> String {
    let text = machine.read("/etc/kubernetes/kubelet.conf");
    text.lines().find_map(|line| line.trim().strip_prefix("server: ")).expect("a server").to_owned()
}

/// Forwards connections to `from` to the API server.
fn passed_on(from: &str) -> u16 {
    let plane = ControlPlane::shared();
    let listener = TcpListener::bind(from)
        .unwrap_or_else(|error| panic!("{from}: {error} (IPv6 must be on: sysctl net.ipv6.conf.lo.disable_ipv6=0)"));
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            forward(client, TcpStream::connect(("127.0.0.1", plane.port)).expect("the API server"));
        }
    });
    port
}

#[test]
fn over_ipv6() {
    let port = passed_on("[::1]:0");
    let machine = machine("ipv6", &format!("\"[::1]:{port}\""), "");
    machine.join();
    assert_eq!(server_of(&machine), format!("https://[::1]:{port}"));
}

/// The first one refuses connections, the second is an impostor, the third is the cluster.
#[test]
fn several_endpoints() {
    let plane = ControlPlane::shared();
    let [dead] = free_ports();
    let other = Server::new(&Authority::new(), "127.0.0.1", "now", &[]);
    let servers = format!("\"127.0.0.1:{dead}\", \"127.0.0.1:{}\", \"127.0.0.1:{}\"", other.port, plane.port);
    let machine = machine("endpoints", &servers, "");
    machine.join();
    assert_eq!(server_of(&machine), format!("https://127.0.0.1:{}", plane.port));
}

/// A dnsmasq that knows one name; killed on drop.
struct NameServer(Child, u16);

impl NameServer {
    fn new(name: &str, address: &str) -> Self {
        let [port] = free_ports();
        let mut command = Command::new("dnsmasq");
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.args([
            "--no-daemon",
            "--conf-file=/dev/null",
            "--log-facility=-",
            "--no-resolv",
            "--no-hosts",
            "--bind-interfaces",
        ]);
        command.args(["--user=", "--pid-file", "--listen-address=127.0.0.1", &format!("--port={port}")]);
        command.arg(format!("--host-record={name},{address}")).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child =
            command.spawn().unwrap_or_else(|error| panic!("dnsmasq: {error}: install the Debian package dnsmasq-base"));
        let mut words = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut said = String::new();
        while words.read_line(&mut said).expect("read") > 0 && !said.contains("started") {}
        assert!(said.contains("started"), "{said}");
        // Standard error stays open, so that it can continue to log.
        thread::spawn(move || std::io::copy(&mut words, &mut std::io::sink()));
        Self(child, port)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The static program has its own resolver.
#[test]
fn by_a_name_server() {
    let plane = ControlPlane::shared();
    let names = NameServer::new("api.example", "127.0.0.1");
    let machine = machine("by-name", &format!("\"api:{}\"", plane.port), "");
    write(&machine, "/etc/resolv.conf", &format!("nameserver 127.0.0.1:{}\n", names.1));
    let mut agent = machine.boot();
    agent.wait_for("looking up api: ");
    assert_eq!(machine.status("state"), "waiting");
    agent.kill();
    // The certificate contains the full name only.
    machine.reseed(&seed(plane, "by-name", TOKEN, "").replace("127.0.0.1", "api.example"));
    machine.join();
    assert_eq!(server_of(&machine), format!("https://api.example:{}", plane.port));
}

/// An HTTP proxy that opens tunnels (RFC 9110, 9.3.6) and resolves names itself; returns its port
/// and the requests it received.
fn proxy(status: &'static str) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let requests: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&requests);
    thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let mut head = String::new();
            let mut reader = BufReader::new(client.try_clone().expect("a socket"));
            while reader.read_line(&mut head).expect("read") > 2 {}
            let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split_once(" HTTP/1.1\r\n"));
            let (target, headers) = target.unwrap_or_else(|| panic!("{head}"));
            assert!(headers.to_ascii_lowercase().contains(&format!("host: {target}\r\n")), "{head}");
            let port = target.strip_prefix("api.example:").expect("the one name").parse().expect("a port");
            seen.lock().expect("the list").push(head.clone());
            write!(client, "HTTP/1.1 {status}\r\nVia: 1.1 proxy\r\n\r\n").expect("answered");
            if status.starts_with("200") {
                forward(client, TcpStream::connect(("127.0.0.1", port)).expect("the API server"));
            }
        }
    });
    (port, requests)
}

#[test]
fn through_a_proxy() {
    let plane = ControlPlane::shared();
    let server = format!("\"api.example:{}\"", plane.port);
    let (port, requests) = proxy("200 OK");
    let fields = format!("proxy: {{https: \"http://127.0.0.1:{port}\"}}\n");
    let machine_of = |node: &str, fields: &str| machine(node, &server, fields);
    // The proxy resolves the name.
    let through = machine_of("proxied", &fields);
    through.join();
    let heads = requests.lock().expect("the list").clone();
    assert!(heads.len() >= 3, "{heads:#?}");
    assert!(heads.iter().all(|head| !head.contains(&TOKEN[7..]) && !head.contains("Authorization")), "{heads:#?}");
    assert_eq!(server_of(&through), format!("https://api.example:{}", plane.port));

    let past = machine_of("unproxied", &fields.replace("}}", "").replace("}\n", ", noProxy: [\".example\"]}\n"));
    write(&past, "/etc/hosts", "127.0.0.1 api.example\n");
    past.join();
    assert_eq!(requests.lock().expect("the list").len(), heads.len(), "asked for what it is not for");

    let (port, _) = proxy("407 Proxy Authentication Required");
    let refused = machine_of("refused", &format!("proxy: {{https: \"http://127.0.0.1:{port}\"}}\n"));
    refused.boot().wait_for("answered with status 407");
    assert_eq!(refused.status("state"), "waiting");
    assert!(!refused.is_joined());
}

/// An HTTPS server with the seed of `node`.
fn seed_server(authority: &Authority, node: &str) -> Server {
    let text = seed(ControlPlane::shared(), node, TOKEN, "");
    let response = format!("HTTP/1.0 200 OK\r\nContent-Type: application/yaml\r\n\r\n{text}");
    Server::new(authority, "127.0.0.1", "now", &[("seeds/worker", &response)])
}

fn boots_with(machine: &Machine, cmdline: &str) {
    fs::remove_dir_all(machine.credentials()).ok();
    write(machine, "/proc/cmdline", &format!("quiet {cmdline}\n"));
}

#[test]
fn a_seed_over_https_by_an_authoritys_pin() {
    let authority = Authority::new();
    let server = seed_server(&authority, "pinned");
    let url = format!("kiln.seed=https://127.0.0.1:{}/seeds/worker", server.port);
    let machine = Machine::new("");
    // Without a pin, one of the image's authorities would have to vouch for it; this image has
    // none.
    for (words, complaint) in [
        (String::new(), "making a TLS connection to 127.0.0.1"),
        (format!("kiln.seed_ca={}", Authority::new().pin()), "it does not send a certificate authority with the pin"),
    ] {
        boots_with(&machine, &format!("{url} {words}"));
        machine.boot().wait_for(complaint);
        assert_eq!(machine.status("state"), "waiting");
        assert!(!machine.is_joined());
    }
    boots_with(&machine, &format!("{url} kiln.seed_ca={}", authority.pin()));
    let said = machine.join();
    assert!(said[0].contains("kernel command line https://127.0.0.1:"), "{said:#?}");
}

#[test]
fn a_seed_over_https_by_the_images_authorities() {
    let authority = Authority::new();
    let server = seed_server(&authority, "known-ca");
    let machine = Machine::new("");
    boots_with(&machine, &format!("kiln.seed=https://127.0.0.1:{}/seeds/worker", server.port));
    write(&machine, "/etc/ssl/certs/ca-certificates.crt", &(Authority::new().pem + &authority.pem));
    machine.join();
}

/// The name in the certificate must match, whoever signed it.
#[test]
fn an_https_server_of_another_name() {
    let authority = Authority::new();
    let server = Server::new(&authority, "seeds.example", "now", &[]);
    let machine = Machine::new("");
    boots_with(&machine, &format!("kiln.seed=https://127.0.0.1:{}/x kiln.seed_ca={}", server.port, authority.pin()));
    let mut agent = machine.boot();
    let line = agent.wait_for("making a TLS connection to 127.0.0.1");
    assert!(line.contains("not valid for name"), "{line}");
    let machine =
        Machine::new(&seed_with_authority("misnamed", &format!("127.0.0.1:{}", server.port), &authority.pem, TOKEN));
    machine.boot().wait_for("making a TLS connection to 127.0.0.1");
    assert!(!machine.is_joined());
}
