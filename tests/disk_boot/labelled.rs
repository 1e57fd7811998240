//! A network-booted node whose state is on a local disk.

use crate::disks::{GIB, tool};
use crate::guest::{machine, run_on, turn};
use crate::worker;
use kiln::boot::{Handout, PxeSet};
use std::fs::File;

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
    File::create(&disk).and_then(|file| file.set_len(GIB)).expect("a file");
    let path = disk.to_string_lossy();
    let typed = "1:4d21b016-b534-45c2-a9fb-5c16e091fd2d";
    tool("sgdisk", "gdisk", &["-n", "1:2048:0", "-t", typed, "-c", "1:kiln-state", &path]);
    tool("mke2fs", "e2fsprogs", &["-q", "-t", "ext4", "-E", "offset=1048576", &path, "1000M"]);
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
