//! A clock that is years behind. A test cannot set the clock of its host, so the times with which
//! the agent compares the clock are moved instead.

use crate::cluster::agent::Machine;
use crate::cluster::control_plane::{ControlPlane, TOKEN};
use crate::cluster::joins::{seed, seed_with_authority};
use crate::cluster::tls::{Authority, FUTURE, Server, public_key, sign};
use std::fs::{self, File};
use std::time::{Duration, SystemTime};

const YEARS: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Sets the build time of the image of `machine`.
fn built(machine: &Machine, time: SystemTime) {
    let path = machine.at("/usr/lib/os-release");
    fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
    fs::write(&path, "ID=debian\n").expect("written");
    File::options().write(true).open(&path).expect("the file").set_modified(time).expect("a time");
}

#[test]
fn before_the_image_was_built() {
    let plane = ControlPlane::shared();
    let machine = Machine::new(&seed(plane, "clock", TOKEN, ""));
    built(&machine, SystemTime::now() + YEARS);
    let mut agent = machine.boot();
    agent.wait_for("before this image was built, and no time server has answered");
    assert_eq!(machine.status("state"), "waiting");
    assert!(!machine.is_joined());
    assert!(plane.requests("clock").is_empty());
    agent.kill();
    built(&machine, SystemTime::now() - YEARS);
    machine.join();
}

/// A clock after the image's build but before the cluster was made: the certificates of its servers
/// are not valid yet.
#[test]
fn before_the_cluster_was_made() {
    let authority = Authority::new();
    let server = Server::new(&authority, "127.0.0.1", FUTURE, &[]);
    let machine =
        Machine::new(&seed_with_authority("early", &format!("127.0.0.1:{}", server.port), &authority.pem, TOKEN));
    let mut agent = machine.boot();
    let line = agent.wait_for("making a TLS connection to 127.0.0.1");
    assert!(line.contains("not valid yet"), "{line}");
    assert_eq!(machine.status("state"), "waiting");
    assert!(agent.runs());
    assert!(!machine.is_joined());
}

/// A node that has joined does not mistake a clock that is behind for an invalid certificate.
#[test]
fn before_the_node_joined() {
    let plane = ControlPlane::shared();
    let machine = Machine::new(&seed(plane, "battery", TOKEN, ""));
    machine.join();
    // A certificate for the same key that becomes valid only in years.
    let pem = fs::read_to_string(machine.certificate()).expect("the certificate");
    let key = &pem[pem.find("-----BEGIN PRIVATE KEY").expect("the key")..];
    let subject = "/O=system:nodes/CN=system:node:battery";
    let later = sign(&plane.authority(), &public_key(key), subject, "extendedKeyUsage=clientAuth", FUTURE) + key;
    fs::write(machine.certificate(), &later).expect("written");
    // A node that has joined needs no seed.
    fs::remove_dir_all(machine.credentials()).expect("removed");
    let mut agent = machine.boot();
    agent.wait_for("before the client certificate was issued, and no time server has answered");
    assert_eq!(machine.status("state"), "waiting");
    if std::env::var_os("KILN_OUTAGE_SECONDS").is_some() {
        // After a minute kubelet starts anyway; it waits for the clock itself.
        let (code, said) = agent.end();
        assert_eq!(code, Some(0), "{said:#?}");
    }
    assert!(machine.is_joined());
    assert_eq!(fs::read_to_string(machine.certificate()).expect("the certificate"), later);
}
