//! A network-booted node of bookworm whose state is on a local disk: first without a cluster, then
//! with a standalone kubelet.

use crate::boot::capability;
use crate::disk_boot::disks::tool;
use crate::disk_boot::guest::{check_node, machine, run_on, turn};
use crate::disk_boot::{state_disk, worker};
use kiln::boot::{Handout, PxeSet};

const PROBE: &str = include_str!("../boot/probe.sh");
const SCRIPT: &str = "\
report boot \"$(cat /var/lib/kiln-test 2>/dev/null)\"
report var \"$(findmnt -n -o SOURCE,FSTYPE /var | tr -s ' ')\"
report kubernetes \"$(findmnt -n -o SOURCE /etc/kubernetes)\"
echo again >/var/lib/kiln-test
";

#[test]
fn a_partition_with_the_label_is_the_state() {
    let directory = tempfile::tempdir().expect("a directory");
    let disk = directory.path().join("state.raw");
    state_disk::make(&disk, |program, package, arguments| {
        tool(program, package, arguments);
    });
    let out = worker::build_worker(directory.path(), "bookworm");
    let mut set = PxeSet::open(&out).expect("a PXE set");
    set.cmdline += " kiln.state=disk";
    capability::give(&mut set, directory.path(), "usr/bin/cat");
    let _turn = turn();
    let machine = kiln::boot::Machine { disk: Some(disk), ..machine(&set) };
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
    // Last, because the files that make kubelet standalone stay in the state, so that kubelet would
    // later start without a handout.
    let second = run_on(&machine, &set, Handout::none().standalone(), &script);
    second.check("boot", "again");
    check_node(&second);
    second.check("unit kubelet", "active");
    println!("bookworm: kubelet healthy after {} s", second.number("healthz"));
    assert_eq!(first.all("machine-id"), second.all("machine-id"));
}
