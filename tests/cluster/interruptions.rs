//! Disks that are full, and power that goes at any moment: the agent is stopped at each thing it does to its files.

use crate::agent::Machine;
use crate::control_plane::{ControlPlane, TOKEN, kubectl};
use crate::joins::{files, seed};
use std::fs;
use std::thread;

/// All that changes files. Standard error is written, too: those are further moments.
const CHANGES: &str = "write,fsync,fchmod,fchown,rename,symlink,unlink,mkdir";
/// Every which of these moments is tried; KILN_FAULT_STRIDE says otherwise (`make faults`: 1).
const STRIDE: usize = 4;
/// At once.
const CROWD: usize = 8;

fn stride() -> usize {
    std::env::var("KILN_FAULT_STRIDE").map_or(STRIDE, |text| text.parse().expect("a number"))
}

/// Calls `case` with 1, 1 + stride, …, some at once, until it returns false.
fn until_done(case: impl Fn(usize) -> bool + Sync) -> usize {
    let stride = stride();
    for first in (1..).step_by(CROWD * stride) {
        assert!(first < 2000, "it never ends");
        let ended = thread::scope(|scope| {
            let crowd: Vec<_> = (0..CROWD).map(|index| first + index * stride).collect();
            let runs: Vec<_> = crowd
                .into_iter()
                .map(|at| {
                    (
                        at,
                        scope.spawn({
                            let case = &case;
                            move || case(at)
                        }),
                    )
                })
                .collect();
            runs.into_iter().find_map(|(at, run)| (!run.join().expect("it holds")).then_some(at))
        });
        if let Some(at) = ended {
            return at;
        }
    }
    0
}

/// Whatever happened, kubelet does not start, or it starts with all it needs.
fn no_half_credential(plane: &ControlPlane, machine: &Machine, node: &str) {
    if machine.is_joined() {
        // What the API server refuses, it refuses to this node by name.
        let words = kubectl(&machine.kubeconfig(), &["get", "secrets"]).expect_err("nodes may not list them");
        assert!(words.contains(&format!("User \"system:node:{node}\"")), "{words}");
    }
    let requests = plane.requests(node);
    assert!(requests.len() <= 1, "{node}: {requests:?}");
}

/// SIGKILL before each change; of a file that was not yet safe on disk, half is lost.
#[test]
fn power_cut_at_each_write() {
    let plane = ControlPlane::shared();
    let last = until_done(|at| {
        let node = format!("power-{at}");
        let machine = Machine::new(&seed(plane, &node, TOKEN, "files: {/etc/motd: {content: hello}}\n"));
        let inject = format!("inject={CHANGES}:signal=KILL:when={at}");
        let trace = ["-f", "-qqq", "-o", "/dev/null", "-e", &format!("trace={CHANGES}"), "-e", &inject];
        let (code, said) = machine.boot_by(&[&["strace"], &trace[..]].concat()).end();
        for file in files(&machine.root()) {
            if file.extension().is_some_and(|extension| extension == "kiln-new") {
                let half = fs::metadata(&file).expect("a file").len() / 2;
                fs::File::options().write(true).open(&file).expect("a file").set_len(half).expect("cut");
            }
        }
        no_half_credential(plane, &machine, &node);
        let was_cut = code.is_none();
        assert!(was_cut || code == Some(0), "{code:?}: {said:#?}");
        machine.join();
        no_half_credential(plane, &machine, &node);
        assert_eq!(plane.requests(&node).len(), 1, "cut before change {at}: {said:#?}");
        let left: Vec<_> = files(&machine.root())
            .into_iter()
            .filter(|file| file.extension().is_some_and(|extension| extension == "kiln-new"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
        was_cut
    });
    println!("cut at every {} of less than {last} moments", stride());
    assert!(last > 60, "it made only {last} changes");
}

/// Options of a small file system, where to copy it in the end, and the agent's command line: its path, `--root`, the root.
const ON_A_SMALL_DISK: &str = r#"
mount -t tmpfs -o "$1" tmpfs "$5"
code=0
"$3" "$4" "$5" || code=$?
echo "small: $code $(test ! -e "$5/etc/kubernetes/kubelet.conf" || echo joined)" >&2
mount -o remount,size=0,nr_inodes=0 "$5"
"$3" "$4" "$5"
cp -a "$5/." "$2"
"#;

#[test]
fn a_full_disk() {
    let plane = ControlPlane::shared();
    for (kind, unit) in [("nr_inodes", 1), ("size", 4)] {
        let last = until_done(|at| {
            let node = format!("full-{}-{at}", kind.replace('_', "-"));
            let machine = Machine::new(&seed(plane, &node, TOKEN, ""));
            let after = tempfile::tempdir_in(machine.credentials()).expect("a directory");
            let options = format!("{kind}={}{}", at * unit, if unit == 4 { "k" } else { "" });
            let after_path = after.path().display().to_string();
            let wrapper = ["unshare", "-rm", "sh", "-euc", ON_A_SMALL_DISK, "sh", &options, &after_path];
            let (code, said) = machine.boot_by(&wrapper).end();
            assert_eq!(code, Some(0), "{options}: {said:#?}");
            let small = said.iter().find_map(|line| line.strip_prefix("small: ")).expect("the first end");
            assert!(small == "1 " || small == "0 joined", "{options}: {said:#?}");
            assert!(small != "1 " || said.iter().any(|line| line.contains("No space left on device")), "{said:#?}");
            assert!(after.path().join("etc/kubernetes/kubelet.conf").exists());
            let requests = plane.requests(&node);
            assert_eq!(requests.len(), 1, "{options}: {said:#?}");
            small == "1 "
        });
        println!("{kind}: enough with {}", last * unit);
        assert!(last > 5, "{kind}: it was never full");
    }
}
