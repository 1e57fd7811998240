//! A network-booted node whose state is on a local disk.

use crate::disk_boot::disks::tool;
use crate::disk_boot::guest::{machine, run_on, turn};
use crate::disk_boot::{state_disk, worker};
use kiln::boot::{Handout, PxeSet};

const SCRIPT: &str = "\
report boot \"$(cat /var/lib/kiln-test 2>/dev/null)\"
report var \"$(findmnt -n -o SOURCE,FSTYPE /var | tr -s ' ')\"
report kubernetes \"$(findmnt -n -o SOURCE /etc/kubernetes)\"
echo again >/var/lib/kiln-test
report end
systemctl poweroff
";

#[test]
fn a_partition_with_the_label_is_the_state() {
    let directory = tempfile::tempdir().expect("a directory");
    let disk = directory.path().join("state.raw");
    state_disk::make(&disk, |program, package, arguments| {
        tool(program, package, arguments);
    });
    let out = worker::build_worker(directory.path(), "trixie");
    let mut set = PxeSet::open(&out).expect("a PXE set");
    set.cmdline += " kiln.state=disk";
    let _turn = turn();
    let machine = kiln::boot::Machine { disk: Some(disk), ..machine(&set) };
    let script = format!("{}{SCRIPT}", include_str!("state.sh"));
    let first = run_on(&machine, &set, Handout::none(), &script);
    first.check("boot", "");
    first.check("var", "/dev/vda1 ext4");
    first.check("kubernetes", "/dev/vda1[/lib/kubernetes]");
    let second = run_on(&machine, &set, Handout::none(), &script);
    second.check("boot", "again");
    assert_eq!(first.all("machine-id"), second.all("machine-id"));
}
