//! A node that boots from its disk is healthy and keeps its state.

use crate::disk_boot::disks::{GIB, fresh, image};
use crate::disk_boot::esp::{Esp, kernel};
use crate::disk_boot::guest::{Report, check_node_on, machine, run_on, turn};
use kiln::boot::{Bus, Handout, Machine};

const STATE: &str = include_str!("state.sh");
const SSH: &str = include_str!("ssh.sh");
const FIRST: &str = include_str!("first.sh");
const SECOND: &str = include_str!("second.sh");
const PROBE: &str = include_str!("../boot/probe.sh");

/// Boots `suite`'s disk on `bus`, twice if `again`, and enlarges it by 2 GiB in between. `counters`
/// replace those of its kernel image before the first boot.
fn check_boots(suite: &str, bus: Bus, counters: Option<&str>, again: bool) {
    let guests = fresh(image(suite), 2 * GIB as i64);
    if let Some(counters) = counters {
        Esp::read(&guests, image(suite)).set_counters("+3-0", counters);
    }
    let _turn = turn();
    let machine = Machine { bus, ..machine(&guests.disk) };
    let first = run_on(&machine, &guests.disk, Handout::none().standalone(), &format!("{STATE}{SSH}{FIRST}{PROBE}"));
    check_node_on(&first, "ext4");
    first.check("unit kubelet", "active");
    println!("{suite}: kubelet healthy after {} s", first.number("healthz"));
    assert_eq!(first.all("usr-written"), [""; 0], "/usr was written to");
    let [verity] = first.all("verity")[..] else { panic!("{:?}", first.lines) };
    assert!(verity.contains("type: VERITY") && verity.contains("status: verified"), "{verity}");
    let options = |report: &Report, key: &str| -> Vec<String> {
        let [options] = report.all(key)[..] else { panic!("{key}: {:?}", report.lines) };
        options.split([',', ' ']).map(str::to_owned).collect()
    };
    assert!(options(&first, "root-options").contains(&"ro".to_owned()), "{:?}", first.lines);
    let var = options(&first, "var-options");
    for option in ["ext4", "rw", "nosuid", "nodev"] {
        assert!(var.contains(&option.to_owned()), "/var: {var:?}");
    }
    // The boot loader counted this boot, and the node marked it as good.
    assert_eq!(kernel(&guests, image(suite)), "kiln-probed_1.20.2.efi", "{}", first.console);

    if !again {
        return;
    }
    guests.disk.grow(2 * GIB).unwrap_or_else(|error| panic!("{error}"));
    let second = run_on(&machine, &guests.disk, Handout::none(), &format!("{STATE}{SSH}{SECOND}"));
    assert_eq!(second.all("failed"), [""; 0], "failed units\n{}", second.console);
    second.check("state", "running");
    let machine_id = first.all("machine-id");
    assert!(machine_id[0].len() == 32 && machine_id == second.all("machine-id"), "{machine_id:?}");
    let host_key = first.all("ssh-host-key");
    assert!(host_key[0].starts_with("ssh-ed25519 ") && host_key == second.all("ssh-host-key"), "{host_key:?}");
    second.check("trace /etc/kiln-test", "");
    for file in ["/etc/kubernetes", "/etc/cni/net.d", "/opt/cni/bin", "/var/lib"] {
        second.check(&format!("trace {file}/kiln-test"), "kept");
    }
    second.check("hosts", "127.0.0.1\tlocalhost");
    second.check("flags", "changed");
    second.check("random-seed", "kept");
    second.check("boots", "2");
    let grown = second.number("var-bytes") - first.number("var-bytes");
    assert!(grown > 1.9 * GIB as f64, "/var grew by {grown} bytes\n{}", second.console);
    assert_eq!(kernel(&guests, image(suite)), "kiln-probed_1.20.2.efi", "{}", second.console);
}

#[test]
fn a_trixie_disk_keeps_its_state() {
    check_boots("trixie", Bus::Virtio, None, true);
}

#[test]
fn a_bookworm_disk_boots() {
    // As after three failed boots: without another version, the image is booted anyway.
    check_boots("bookworm", Bus::Nvme, Some("+0-3"), false);
}

#[test]
#[ignore = "make boots boots it"]
fn a_bookworm_disk_keeps_its_state() {
    check_boots("bookworm", Bus::Nvme, None, true);
}
