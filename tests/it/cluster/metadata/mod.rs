//! Clouds' metadata services at 169.254.169.254, working as documented, and broken.

mod clouds;
mod namespace;
mod service;

use crate::cluster::agent::Machine;
use crate::cluster::control_plane::{ControlPlane, TOKEN};
use crate::cluster::joins::seed;
use crate::cluster::sources::{mkfs, with_volume};
use clouds::{CLOUDS, Cloud, OPENSTACK};
use namespace::Namespace;
use service::{Answer, Request, Service};
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// A seed that leaves all facts that the platform provides to the platform.
fn without_name(plane: &ControlPlane) -> String {
    seed(plane, "x", TOKEN, "").replace("nodeName: x\n", "")
}

/// A machine whose firmware identifies its cloud.
fn machine_in(cloud: &Cloud) -> Machine {
    let machine = Machine::new("");
    fs::remove_dir_all(machine.credentials()).expect("removed");
    is_in(cloud, machine)
}

fn is_in(cloud: &Cloud, machine: Machine) -> Machine {
    let (file, text) = cloud.dmi;
    fs::create_dir_all(machine.at("/sys/class/dmi/id")).expect("a directory");
    fs::write(machine.at(&format!("/sys/class/dmi/id/{file}")), format!("{text}\n")).expect("written");
    machine
}

/// Checks the facts from the platform on a machine that has joined.
fn check_facts(machine: &Machine, cloud: &Cloud) {
    assert!(machine.is_joined(), "{}", cloud.name);
    assert_eq!(machine.read("/etc/hostname"), format!("{}\n", cloud.hostname));
    let flags = machine.read("/var/lib/kubelet/kubeadm-flags.env");
    assert!(flags.contains(&format!("--hostname-override={} ", cloud.hostname)), "{flags}");
    assert!(flags.contains(&format!("--provider-id={}", cloud.provider_id)), "{flags}");
    let label = cloud.zone.map(|zone| format!("topology.kubernetes.io/zone={zone}"));
    assert_eq!(flags.contains("topology.kubernetes.io/zone="), label.is_some(), "{flags}");
    assert!(flags.contains(&label.unwrap_or_default()), "{flags}");
}

#[test]
fn every_cloud_gives_the_seed_and_what_it_lacks() {
    let plane = ControlPlane::shared();
    thread::scope(|scope| {
        for cloud in &CLOUDS {
            scope.spawn(move || {
                let service = cloud.service(Some(&without_name(plane)));
                let machine = machine_in(cloud);
                let (code, said) = Namespace::new(&service, plane).boot(&machine).end();
                assert_eq!(code, Some(0), "{said:#?}");
                let first = format!("kiln-agent: seed for {} from user data of {} (", cloud.hostname, cloud.name);
                assert!(said[0].starts_with(&first), "{said:#?}");
                check_facts(&machine, cloud);
                assert_eq!(machine.status("seed"), format!("user data of {}", cloud.name));
            });
        }
    });
}

/// IMDSv2: the agent starts a session by PUT first, no longer than needed, and makes no request
/// without it.
#[test]
fn ec2_is_queried_in_sessions_only() {
    let plane = ControlPlane::shared();
    let service = Cloud::named("EC2").service(None);
    let machine = machine_in(Cloud::named("EC2"));
    let (code, said) = Namespace::new(&service, plane).boot(&machine).end();
    assert_eq!(code, Some(0), "{said:#?}");
    assert_eq!(machine.status("state"), "no-seed");
    let asked = service.asked();
    assert_eq!(asked.len(), 2, "{asked:#?}");
    assert_eq!((asked[0].method.as_str(), asked[0].path.as_str()), ("PUT", "/latest/api/token"));
    assert_eq!(asked[0].header("x-aws-ec2-metadata-token-ttl-seconds"), "300");
    assert_eq!((asked[1].method.as_str(), asked[1].path.as_str()), ("GET", "/latest/user-data"));
    assert!(!asked[1].header("x-aws-ec2-metadata-token").is_empty());

    // If no session can be started, the agent does not use the older version.
    for status in [403, 404, 405] {
        let service = Service::new(move |request| match request.method.as_str() {
            "PUT" => Answer::status(status),
            _ => Answer::ok("kind: NodeSeed\n"),
        });
        let namespace = Namespace::new(&service, plane);
        let mut agent = namespace.boot(&machine);
        agent.wait_for(&if status == 404 {
            "user data: EC2's metadata service does not give a session token".into()
        } else {
            format!("user data: EC2's metadata service answered with status {status}")
        });
        agent.kill();
        assert!(service.asked().iter().all(|request| request.method == "PUT"), "{:#?}", service.asked());
    }
}

#[test]
fn other_user_data_is_not_a_seed() {
    let plane = ControlPlane::shared();
    let script = "#!/bin/sh\nif [ -e /x ]; then echo 'a: b'; fi\n\t: [\n";
    for user_data in ["#cloud-config\nhostname: x\n", script, ""] {
        let service = Cloud::named("Azure").service(Some(user_data));
        let machine = machine_in(Cloud::named("Azure"));
        let (code, said) = Namespace::new(&service, plane).boot(&machine).end();
        assert_eq!(code, Some(0), "{said:#?}");
        assert!(said.iter().any(|line| line.contains("there is no seed")), "{said:#?}");
        assert_eq!(machine.status("state"), "no-seed");
    }
    let service = Cloud::named("Azure").service(Some("kind: NodeSeed\ntoken: [\n"));
    let (code, said) = Namespace::new(&service, plane).boot(&machine_in(Cloud::named("Azure"))).end();
    assert_eq!(code, Some(3), "{said:#?}");
    assert!(said[0].contains("the seed from user data of Azure: line "), "{said:#?}");
}

/// Temporary faults of the first request of an attempt; the agent's message; and the minimum time
/// that it waits.
fn troubles() -> Vec<(Answer, &'static str, Duration)> {
    let answered = Answer::status;
    let fine = || Answer::ok("x".repeat(200)).with("Metadata-Flavor", "Google");
    let second = Duration::from_secs(1);
    vec![
        (
            answered(429).with("Retry-After", "2"),
            "Google Cloud's metadata service answered with status 429",
            second * 2,
        ),
        (answered(503), "Google Cloud's metadata service answered with status 503", second / 2),
        (answered(500), "Google Cloud's metadata service answered with status 500", second / 2),
        (answered(403), "Google Cloud's metadata service answered with status 403", second / 2),
        (
            answered(302).with("Location", "http://169.254.169.254/computeMetadata/v1/instance/elsewhere"),
            "Google Cloud's metadata service answered with status 302",
            second / 2,
        ),
        (Answer { pause: second * 60, ..fine() }, "169.254.169.254:80: no answer in time", second * 10),
        (Answer { drip: second / 10, ..fine() }, "169.254.169.254:80: no answer in time", second * 10),
        (Answer { cut: Some(150), ..fine() }, "169.254.169.254:80: the answer was truncated", second / 2),
        (Answer { cut: Some(20), ..fine() }, "169.254.169.254:80: the answer was truncated", second / 2),
        (Answer { cut: Some(0), ..fine() }, "169.254.169.254:80: the answer was truncated", second / 2),
        (
            Answer::ok(vec![b'#'; (256 << 10) + 1]).with("Metadata-Flavor", "Google"),
            "the answer is larger than the 262144 bytes that are accepted",
            second / 2,
        ),
        (
            Answer::ok("kind: NodeSeed\n"),
            "is not Google Cloud's metadata service: the header Metadata-Flavor is missing",
            second / 2,
        ),
    ]
}

#[test]
fn a_failing_service_is_queried_again_later() {
    let plane = ControlPlane::shared();
    let cloud = Cloud::named("Google Cloud");
    thread::scope(|scope| {
        for (number, (answer, expected, wait)) in troubles().into_iter().enumerate() {
            scope.spawn(move || {
                let text = format!("nodeName: trouble-{number}\n{}", without_name(plane));
                let service = cloud.service(Some(&text));
                let service = service.troubled(move |before, _| (before == 0).then(|| answer.clone()));
                let machine = machine_in(cloud);
                let (code, said) = Namespace::new(&service, plane).boot(&machine).end();
                assert_eq!(code, Some(0), "{said:#?}");
                assert!(said[0].contains(expected), "{expected}: {said:#?}");
                assert!(machine.is_joined());
                let asked = service.asked();
                let waited = asked[1].at - asked[0].at;
                assert!(waited >= wait, "{expected}: asked again after {waited:?}");
                // One that fails, then one for user data and four for the facts (the zone is
                // requested twice).
                let facts = asked.iter().filter(|request| !request.path.ends_with("user-data")).count();
                assert_eq!((asked.len() - facts, facts), (2, 5), "{asked:#?}");
            });
        }
    });
}

/// Any request may fail, and missing facts are not invented.
#[test]
fn the_agent_also_waits_for_facts() {
    let plane = ControlPlane::shared();
    let cloud = Cloud::named("Hetzner Cloud");
    let text = format!("nodeName: facts\n{}", without_name(plane));
    let service = cloud.service(Some(&text)).troubled(|before, request| match request.path.as_str() {
        "/hetzner/v1/metadata/instance-id" if before < 8 => Some(Answer::status(503)),
        "/hetzner/v1/metadata/availability-zone" => Some(Answer::status(404)),
        _ => None,
    });
    let machine = machine_in(cloud);
    let (code, said) = Namespace::new(&service, plane).boot(&machine).end();
    assert_eq!(code, Some(0), "{said:#?}");
    assert!(said[0].contains("metadata: Hetzner Cloud's metadata service answered with status 503"), "{said:#?}");
    let flags = machine.read("/var/lib/kubelet/kubeadm-flags.env");
    assert!(flags.contains("--provider-id=hcloud://42") && !flags.contains("topology.kubernetes.io/zone"), "{flags}");
}

/// The waits between attempts grow, so that a service that is down for long is not flooded.
#[test]
fn a_service_that_stays_down_is_not_flooded() {
    let plane = ControlPlane::shared();
    let cloud = Cloud::named("DigitalOcean");
    let service = Service::new(|_: &Request| Answer::status(500));
    let namespace = Namespace::new(&service, plane);
    let machine = machine_in(cloud);
    let mut agent = namespace.boot(&machine);
    let began = Instant::now();
    while service.asked().len() < 4 {
        assert!(agent.runs() && began.elapsed() < crate::cluster::agent::LIMIT, "{:?}", service.asked());
        thread::sleep(Duration::from_millis(50));
    }
    agent.kill();
    let asked = service.asked();
    for (pair, least) in asked.windows(2).zip([500, 1000, 2000]) {
        assert!(pair[1].at - pair[0].at >= Duration::from_millis(least), "{asked:?}");
    }
    assert_eq!(machine.status("state"), "waiting");
    assert!(machine.status("error").contains("DigitalOcean's metadata service answered with status 500"));
}

/// A config drive also contains the facts, and then no service is queried.
#[test]
fn a_config_drive_instead_of_a_service() {
    let plane = ControlPlane::shared();
    let cloud = Cloud::named("OpenStack");
    let machine = with_volume("drive", "openstack/latest/user_data", |content, device| {
        let latest = content.join("openstack/latest");
        fs::write(latest.join("user_data"), without_name(plane)).expect("written");
        let document = OPENSTACK.replace("openstack-1", "drive-1");
        fs::write(latest.join("meta_data.json"), document).expect("written");
        mkfs("16", "20480", "config-2", content, device);
    });
    let machine = is_in(cloud, machine);
    let service = Service::new(|_: &Request| Answer::status(500));
    let (code, said) = Namespace::new(&service, plane).boot(&machine).end();
    assert_eq!(code, Some(0), "{said:#?}");
    assert!(said[0].contains("seed for drive-1.novalocal from OpenStack config drive /dev/vdb"), "{said:#?}");
    let flags = machine.read("/var/lib/kubelet/kubeadm-flags.env");
    assert!(flags.contains(&format!("--provider-id={}", cloud.provider_id)), "{flags}");
    assert!(service.asked().is_empty(), "{:?}", service.asked());
}

/// A complete seed needs no service.
#[test]
fn known_facts_are_not_queried() {
    let plane = ControlPlane::shared();
    let cloud = Cloud::named("EC2");
    let fields =
        "hostname: complete\nkubelet: {providerID: \"aws:///a/i-1\", labels: {topology.kubernetes.io/zone: a}}\n";
    let machine = is_in(cloud, Machine::new(&seed(plane, "complete", TOKEN, fields)));
    let service = Service::new(|_: &Request| Answer::status(403));
    let (code, said) = Namespace::new(&service, plane).boot(&machine).end();
    assert_eq!(code, Some(0), "{said:#?}");
    assert!(service.asked().is_empty(), "{:?}", service.asked());
}
