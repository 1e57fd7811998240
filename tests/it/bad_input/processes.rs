//! Concurrent, killed and interrupted builds.

use crate::bad_input::site::{Answer, Keys, Site, failed, succeeds, tree};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const SLOW: &str = "/pool/main/kernel_1_amd64.deb";

/// A locked site with an old output, whose mirror takes six seconds to send the kernel; and the
/// output's `SHA256SUMS`.
fn slow_site(keys: &Keys) -> (Site, String, Vec<u8>) {
    let site = Site::new(keys, &[]);
    let sums = site.builds(&[]);
    let kernel = site.good(SLOW);
    // The new output differs from the old one, and needs the kernel again.
    site.append("profiles/worker.yaml", "files: {/etc/motd: {content: hello}}\n");
    fs::remove_dir_all(site.path("cache")).expect("removed");
    site.answer(SLOW, Answer::Slow(kernel.clone(), kernel.len() / 20, Duration::from_millis(300)));
    (site, sums, kernel)
}

/// Starts a build and waits until its temporary output exists and its download has begun.
fn under_way(site: &Site) -> Child {
    let asked = site.asked().len();
    let mut child = site.build(&[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("kiln runs");
    let start = Instant::now();
    let begun = || site.asked()[asked..].iter().any(|target| target == SLOW);
    while beside(site).len() < 3 || !begun() {
        assert!(start.elapsed() < Duration::from_secs(20), "nothing begins: {:?}", beside(site));
        assert_eq!(child.try_wait().expect("waited"), None, "the build ended");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

/// The names in the output's parent directory.
fn beside(site: &Site) -> Vec<String> {
    let name =
        |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name().into_string().expect("UTF-8");
    let mut names: Vec<String> = fs::read_dir(site.path("out")).expect("listed").map(name).collect();
    names.sort();
    names
}

#[test]
fn two_concurrent_builds() {
    let keys = Keys::new();
    let (site, old, _) = slow_site(&keys);
    let first = under_way(&site);
    let before = tree(&site.path("out"));
    let second = site.build(&[]).output().expect("kiln runs");
    failed(&second, 1, "another build is writing out/worker; wait for it, or choose another directory with --out");
    assert_eq!(tree(&site.path("out")), before, "the second build touched the first one's");
    let output = first.wait_with_output().expect("waited");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_ne!(site.sums(), old);
    assert_eq!(beside(&site), ["worker"]);
}

#[test]
fn killed() {
    let keys = Keys::new();
    let (site, old, kernel) = slow_site(&keys);
    let mut child = under_way(&site);
    child.kill().expect("killed");
    child.wait().expect("waited");
    assert_eq!(site.sums(), old);
    assert_eq!(beside(&site).len(), 3, "a killed build cannot clean up");
    site.answer(SLOW, Answer::Good(kernel));
    assert_ne!(site.builds(&[]), old);
    assert_eq!(beside(&site), ["worker"]);
    assert!(tree(&site.path("cache/tmp")).is_empty() && tree(&site.path("cache/partial")).is_empty());
}

#[test]
fn interrupted() {
    let keys = Keys::new();
    let (site, old, kernel) = slow_site(&keys);
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let child = under_way(&site);
        kill_process(Pid::from_child(&child), signal).expect("signalled");
        let start = Instant::now();
        let output = child.wait_with_output().expect("waited");
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        failed(&output, code, "interrupted; the output is as it was before");
        assert_eq!(site.sums(), old);
        assert_eq!(beside(&site), ["worker"]);
    }
    site.answer(SLOW, Answer::Good(kernel));
    site.builds(&[]);
}

/// Adds a kubelet that takes so long to compress that a signal arrives during the build.
fn long_work(site: &Site) {
    let mut state = 1_u64;
    let noise = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    };
    site.write("kubelet", (0..48 << 20).map(noise).collect::<Vec<u8>>());
}

#[test]
fn interrupted_while_it_computes() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    long_work(&site);
    succeeds(&mut site.kiln(&["lock", "worker", "--mirror", &site.mirror()]));
    let mut interrupted = 0;
    for pause in [10, 50, 100, 200, 400] {
        let mut child = site.build(&[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("kiln runs");
        while beside(&site).len() < 2 {
            assert_eq!(child.try_wait().expect("waited"), None, "the build ended");
        }
        std::thread::sleep(Duration::from_millis(pause));
        kill_process(Pid::from_child(&child), Signal::INT).expect("signalled");
        let output = child.wait_with_output().expect("waited");
        if output.status.success() {
            break;
        }
        if String::from_utf8_lossy(&output.stderr).contains("the new output is complete") {
            assert_eq!((output.status.code(), beside(&site)), (Some(130), vec!["worker".to_owned()]));
            break;
        }
        failed(&output, 130, "interrupted; the output is as it was before");
        assert_eq!(beside(&site), [""; 0]);
        interrupted += 1;
    }
    assert!(interrupted > 0, "every build was faster than the signal");
    site.builds(&[]);
    assert_eq!(beside(&site), ["worker"]);
}

/// Builds that share a cache, some of which are killed: other and later builds are not affected.
#[test]
fn killed_while_they_share_a_cache() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    long_work(&site);
    let sums = site.builds(&[]);
    fs::remove_dir_all(site.path("out/worker")).expect("removed");
    let mirror = site.mirror();
    let build = |number| site.kiln(&["build", "worker", "--mirror", &mirror, "-o", &format!("out/{number}")]);
    let mut killed = 0;
    for pause in [20, 100, 300] {
        fs::remove_dir_all(site.path("cache")).expect("removed");
        let mut builds: Vec<Child> = (0..4)
            .map(|number| build(number).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("kiln runs"))
            .collect();
        std::thread::sleep(Duration::from_millis(pause));
        for build in &mut builds[..2] {
            killed += usize::from(build.try_wait().expect("waited").is_none());
            build.kill().expect("killed");
        }
        for (number, build) in builds.into_iter().enumerate() {
            let output = build.wait_with_output().expect("waited");
            if number >= 2 {
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                assert_eq!(site.read(&format!("out/{number}/SHA256SUMS")), sums);
            }
        }
        for number in 0..2 {
            succeeds(&mut build(number));
            assert_eq!(site.read(&format!("out/{number}/SHA256SUMS")), sums);
        }
        assert_eq!(beside(&site), ["0", "1", "2", "3"]);
        assert!(tree(&site.path("cache/tmp")).is_empty() && tree(&site.path("cache/partial")).is_empty());
        fs::remove_dir_all(site.path("out")).expect("removed");
        fs::create_dir(site.path("out")).expect("a directory");
    }
    assert!(killed > 0, "every build was faster than the signal");
}
