//! A build is one process of an ordinary user.

use crate::image::checkout::Checkout;
use crate::image::shared::built;
use crate::image::tools::{find, run, tool};
use std::fs;

/// System calls that start programs, that change mounts, roots or the host, and that open devices.
const TRACED: &str = "execve,execveat,fork,vfork,clone,clone3,mount,umount2,fsopen,fsmount,move_mount,open_tree,mount_setattr,\
                      unshare,setns,chroot,pivot_root,ptrace,setuid,setgid,setresuid,setresgid,setgroups,capset,mknod,mknodat,\
                      init_module,finit_module,openat";

#[test]
fn a_build_is_one_unprivileged_process() {
    let built = built("trixie");
    let checkout = Checkout::of(built);
    let trace = checkout.path().join("trace");
    let mut wrapper = checkout.stranger();
    // `tool` only checks that it is installed; setpriv starts it.
    tool("strace", "strace");
    wrapper.arg(find("strace").expect("just found")).args(["-f", "--seccomp-bpf", "-qq", "-e"]);
    wrapper.arg(format!("trace={TRACED}")).arg("-o").arg(&trace);
    run(&mut checkout.build("trixie", wrapper));

    let trace = fs::read_to_string(trace).expect("a trace");
    // "1234  execve(…" is a call; other lines are results of calls.
    let calls: Vec<&str> =
        trace.lines().filter_map(|line| line.split_once(' ')).map(|(_, call)| call.trim_start()).collect();
    let calls: Vec<&str> = calls.into_iter().filter(|call| !call.starts_with(['<', '+', '-'])).collect();
    let (opened, calls): (Vec<&str>, Vec<&str>) = calls.iter().partition(|call| call.starts_with("openat("));
    assert!(opened.iter().any(|call| call.contains("disk.raw")), "strace saw no disk being written");
    let harmless = ["\"/dev/null\"", "\"/dev/shm/"];
    let device = |call: &&&str| call.contains("\"/dev/") && !harmless.iter().any(|path| call.contains(path));
    let devices: Vec<&&str> = opened.iter().filter(device).collect();
    assert!(devices.is_empty(), "a device is opened: {devices:#?}");
    let (threads, others): (Vec<&str>, Vec<&str>) = calls.iter().partition(|call| call.starts_with("clone"));
    assert!(!threads.is_empty(), "strace saw no thread: {trace}");
    for thread in threads {
        assert!(thread.contains("CLONE_THREAD") && !thread.contains("CLONE_NEW"), "{thread}");
    }
    assert_eq!(others.len(), 1, "one execve, of kiln: {others:#?}");
    assert!(others[0].starts_with("execve(") && others[0].contains("/kiln\""), "{}", others[0]);
    checkout.check_same(built, "an ordinary user without capabilities");
}
