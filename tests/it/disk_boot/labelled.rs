//! A network-booted node of bookworm whose state is on a local disk: first without a cluster, then
//! with a standalone kubelet.

use crate::boot::capability;
use crate::disk_boot::disks::tool;
use crate::disk_boot::guest::{LIMIT, check_node, machine, run_on, turn};
use crate::disk_boot::{state_disk, worker};
use kiln::boot::{Guest, Handout, Machine, PxeSet};
use std::path::{Path, PathBuf};

const PROBE: &str = include_str!("../boot/probe.sh");
const SCRIPT: &str = "\
report boot \"$(cat /var/lib/kiln-test 2>/dev/null)\"
report var \"$(findmnt -n -o SOURCE,FSTYPE /var | tr -s ' ')\"
report kubernetes \"$(findmnt -n -o SOURCE /etc/kubernetes)\"
for link in /dev/disk/by-path/*; do [ \"$(readlink -f $link)\" != /dev/vda1 ] || report by-path $link; done
echo again >/var/lib/kiln-test
";

/// Bookworm's worker for the network, and a disk for its state.
fn set_and_disk(directory: &Path) -> (PxeSet, PathBuf) {
    let disk = directory.join("state.raw");
    state_disk::make(&disk, |program, package, arguments| {
        tool(program, package, arguments);
    });
    let out = worker::build_worker(directory, "bookworm");
    (PxeSet::open(&out).expect("a PXE set"), disk)
}

#[test]
fn the_partition_that_the_command_line_names_is_the_state() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut set, disk) = set_and_disk(directory.path());
    let cmdline = set.cmdline.clone();
    set.cmdline.extend([" ", state_disk::NAMED]);
    capability::give(&mut set, directory.path(), "usr/bin/cat");
    let _turn = turn();
    let machine = Machine { disk: Some(disk), ..machine(&set) };
    let script = format!("{}{SCRIPT}{PROBE}", include_str!("state.sh"));
    let first = run_on(&machine, &set, Handout::none(), &script);
    check_node(&first);
    // Without credentials kubelet waits, and no unit has failed.
    first.check("unit kubelet", "inactive");
    // The initramfs' list of extended attributes is applied.
    first.check("capabilities", "0000000000002000");
    first.check("boot", "");
    first.check("var", "/dev/vda1 ext4");
    first.check("kubernetes", "/dev/vda1[/lib/kubernetes]");
    // The second time it is named by its place, as udev writes it.
    let by_path = first.all("by-path").first().copied().unwrap_or_else(|| panic!("{:?}", first.lines));
    set.cmdline = format!("{cmdline} kiln.state={by_path}");
    // Last, because the files that make kubelet standalone stay in the state, so that kubelet would
    // later start without a handout.
    let second = run_on(&machine, &set, Handout::none().standalone(), &script);
    second.check("boot", "again");
    check_node(&second);
    second.check("unit kubelet", "active");
    println!("bookworm: kubelet healthy after {} s", second.number("healthz"));
    assert_eq!(first.all("machine-id"), second.all("machine-id"));
}

#[test]
#[ignore = "make boots boots it"]
fn a_state_that_is_not_named_is_not_guessed() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut set, disk) = set_and_disk(directory.path());
    set.cmdline += " kiln.state=disk";
    let _turn = turn();
    let machine = Machine { disk: Some(disk), ..machine(&set) };
    let mut guest = Guest::start(&machine, &set, &Handout::none()).expect("QEMU");
    let message = "kiln-init: this node cannot boot: kiln.state=disk does not name the partition: write ";
    guest.console_says(message, LIMIT).unwrap_or_else(|error| panic!("{error}\n{}", guest.console()));
    guest.wait(LIMIT).unwrap_or_else(|error| panic!("{error}\n{}", guest.console()));
    let console = guest.console();
    // It says what to write.
    let named = state_disk::NAMED.replace("kiln.state=", "partition 1 of /dev/vda (");
    assert!(console.contains(&named) && !console.contains("systemd[1]"), "{console}");
}
