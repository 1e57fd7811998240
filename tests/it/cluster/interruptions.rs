//! Full disks, and power cuts at any moment: the agent is stopped at each change of its files.

use crate::cluster::agent::Machine;
use crate::cluster::control_plane::{ControlPlane, TOKEN, kubectl};
use crate::cluster::joins::{files, seed};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::thread;

/// A file for the test's own user: only root may give files to others.
fn motd() -> String {
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    format!("files: {{/etc/motd: {{content: hello, uid: {user}, gid: {group}}}}}\n")
}

/// All system calls that change files, under the names of every architecture. Writes to standard
/// error are included; they are further moments.
const CHANGES: &str = "trace=write,fsync,fchmod,fchown,?rename,?renameat,?renameat2,?symlink,?symlinkat,?unlink,?unlinkat,?mkdir,?mkdirat";
/// The distance of the moments that are tried, unless KILN_FAULT_STRIDE is set (`make faults`: 1).
const STRIDE: usize = 5;
/// The number of concurrent cases.
const CROWD: usize = 8;

/// Runs `case` for one in [`STRIDE`] of `moments`, some concurrently; returns the results in order.
fn at_moments<T: Sync, R: Send>(moments: &[T], case: impl Fn(usize, &T) -> R + Sync) -> Vec<R> {
    let stride = std::env::var("KILN_FAULT_STRIDE").map_or(STRIDE, |text| text.parse().expect("a number"));
    let chosen: Vec<(usize, &T)> = moments.iter().enumerate().step_by(stride).collect();
    let mut results = Vec::new();
    for crowd in chosen.chunks(CROWD) {
        thread::scope(|scope| {
            let case = &case;
            let runs: Vec<_> = crowd.iter().map(|(index, moment)| scope.spawn(move || case(*index, moment))).collect();
            results.extend(runs.into_iter().map(|run| run.join().expect("it holds")));
        });
    }
    results
}

/// The changes that a join makes: each system call, and its number among those of the same name,
/// from 1.
fn changes(plane: &ControlPlane) -> Vec<(String, usize)> {
    let machine = Machine::new(&seed(plane, "traced", TOKEN, &motd()));
    let trace = machine.credentials().join("trace").display().to_string();
    let (code, said) = machine.boot_by(&["strace", "-f", "-qqq", "-o", &trace, "-e", CHANGES]).end();
    assert_eq!(code, Some(0), "{said:#?}");
    let text = fs::read_to_string(trace).expect("a trace");
    let names =
        text.lines().filter_map(|line| Some(line.split_once('(')?.0.split_whitespace().next_back()?.to_owned()));
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut numbered = |name: String| {
        let count = seen.entry(name.clone()).or_default();
        *count += 1;
        (name, *count)
    };
    names.map(&mut numbered).collect()
}

/// Checks that kubelet either does not start, or starts with complete credentials.
fn no_half_credential(plane: &ControlPlane, machine: &Machine, node: &str) {
    if machine.is_joined() {
        // The API server's refusal names this node, so it has authenticated it.
        let words = kubectl(&machine.kubeconfig(), &["get", "secrets"]).expect_err("nodes may not list them");
        assert!(words.contains(&format!("User \"system:node:{node}\"")), "{words}");
    }
    let requests = plane.requests(node);
    assert!(requests.len() <= 1, "{node}: {requests:?}");
}

/// SIGKILL before each change; a file that is not yet synced loses half of its contents.
#[test]
fn power_cut_at_each_write() {
    let plane = ControlPlane::shared();
    let changes = changes(plane);
    assert!(changes.len() > 60, "{changes:?}");
    let cuts = at_moments(&changes, |index, (call, count)| {
        let node = format!("power-{index}");
        let machine = Machine::new(&seed(plane, &node, TOKEN, &motd()));
        let inject = format!("inject={call}:signal=KILL:when={count}");
        let (code, said) =
            machine.boot_by(&["strace", "-f", "-qqq", "-o", "/dev/null", "-e", CHANGES, "-e", &inject]).end();
        for file in unfinished(&machine) {
            let half = fs::metadata(&file).expect("a file").len() / 2;
            fs::File::options().write(true).open(&file).expect("a file").set_len(half).expect("cut");
        }
        no_half_credential(plane, &machine, &node);
        let was_cut = code.is_none();
        assert!(was_cut || code == Some(0), "{code:?}: {said:#?}");
        let again = machine.join();
        no_half_credential(plane, &machine, &node);
        assert_eq!(plane.requests(&node).len(), 1, "cut before {call} {count}: {said:#?} {again:#?}");
        assert!(unfinished(&machine).is_empty(), "cut before {call} {count}: {:?}", unfinished(&machine));
        was_cut
    });
    let count = cuts.iter().filter(|was_cut| **was_cut).count();
    println!("{} changes; cut before {count} of them", changes.len());
    // A join that waits longer for its certificate prints a line more or less.
    assert!(count * 10 >= cuts.len() * 9, "{count} of {}", cuts.len());
}

fn unfinished(machine: &Machine) -> Vec<PathBuf> {
    let files = files(&machine.root()).into_iter();
    files.filter(|file| file.extension().is_some_and(|extension| extension == "kiln-new")).collect()
}

/// Arguments: options of a small file system, the directory to copy it to in the end, and the
/// agent's command line (its path, `--root`, the root).
const ON_A_SMALL_DISK: &str = r#"
mount -t tmpfs -o "$1" tmpfs "$5"
code=0
"$3" "$4" "$5" || code=$?
echo "small: $code $(test ! -e "$5/etc/kubernetes/kubelet.conf" || echo joined)" >&2
mount -o remount,size=0,nr_inodes=0 tmpfs "$5"
"$3" "$4" "$5"
cp -a "$5/." "$2"
"#;

/// File systems with growing room for files, or for pages: the agent always exits, and never leaves
/// a partial credential.
#[test]
fn a_full_disk() {
    let plane = ControlPlane::shared();
    let files: Vec<String> = (1..=46).map(|count| format!("nr_inodes={count}")).collect();
    let pages: Vec<String> = (1..=16).map(|count| format!("size={}k", 4 * count)).collect();
    for disks in [files, pages] {
        let joined = at_moments(&disks, |_, options| {
            let node = format!("full-{}", options.replace(['_', '='], "-"));
            let machine = Machine::new(&seed(plane, &node, TOKEN, ""));
            let after = tempfile::tempdir_in(machine.credentials()).expect("a directory");
            let after_path = after.path().display().to_string();
            let wrapper = ["unshare", "-rm", "sh", "-euc", ON_A_SMALL_DISK, "sh", options, &after_path];
            let (code, said) = machine.boot_by(&wrapper).end();
            assert_eq!(code, Some(0), "{options}: {said:#?}");
            let small = said.iter().find_map(|line| line.strip_prefix("small: ")).expect("the first end");
            let joined = small == "0 joined";
            let ran_out = small == "1 " && said.iter().any(|line| line.contains("No space left on device"));
            assert!(joined || ran_out, "{options}: {said:#?}");
            assert!(after.path().join("etc/kubernetes/kubelet.conf").exists());
            assert_eq!(plane.requests(&node).len(), 1, "{options}: {said:#?}");
            joined
        });
        println!("{} to {}: {joined:?}", disks[0], disks[disks.len() - 1]);
        assert!(!joined[0] && joined[joined.len() - 1] && joined.is_sorted(), "{joined:?}");
    }
}
