//! Waits for a clock that is good enough to check certificates, and for a network route.

use crate::root::RootDir;
use crate::time::rfc3339;
use std::fs;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// Its modification time is the image's time.
const IMAGE: &str = "/usr/lib/os-release";
/// systemd-timesyncd creates it when it has set the clock.
const SYNCHRONIZED: &str = "/run/systemd/timesync/synchronized";
/// The time limit for a clock that is certainly wrong.
const NTP: Duration = Duration::from_secs(60);
/// The time limit to get a route, after which failed connections give a better error.
const ROUTE: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(100);

/// The time at which the image was built, if it is known.
pub fn image_time(root: &RootDir) -> Option<SystemTime> {
    fs::metadata(root.at(IMAGE)).ok()?.modified().ok()
}

/// Waits at most a minute until the clock is not before `earliest`, the time of the event `what`.
/// The defect of the clock is reported when the wait starts, and is the error if the wait fails.
///
/// # Errors
/// The same sentence.
pub fn wait_for_clock(
    root: &RootDir,
    earliest: SystemTime,
    what: &str,
    report: &mut dyn FnMut(&str),
) -> Result<(), String> {
    let is_behind = || SystemTime::now() < earliest;
    if !is_behind() {
        return Ok(());
    }
    let wrong = || {
        let hint = match root.at(SYNCHRONIZED).exists() {
            true => "the time servers are wrong",
            false => "no time server has answered",
        };
        let now = rfc3339(SystemTime::now());
        format!("the clock says {now}, before {what}, and {hint}: no certificate can be checked")
    };
    report(&wrong());
    let deadline = Instant::now() + NTP;
    while is_behind() {
        if Instant::now() >= deadline {
            return Err(wrong());
        }
        thread::sleep(TICK);
    }
    Ok(())
}

/// Waits at most ten seconds until there is a route to another network.
pub fn wait_for_route(root: &RootDir) {
    let deadline = Instant::now() + ROUTE;
    while !has_route(root) && Instant::now() < deadline {
        thread::sleep(TICK);
    }
}

fn has_route(root: &RootDir) -> bool {
    let read = |path: &str| fs::read_to_string(root.at(path)).ok();
    match (read("/proc/net/route"), read("/proc/net/ipv6_route")) {
        (None, None) => true,
        (v4, v6) => is_routed_v4(&v4.unwrap_or_default()) || is_routed_v6(&v6.unwrap_or_default()),
    }
}

/// A default route (proc(5): destination and mask are 0).
fn is_routed_v4(table: &str) -> bool {
    table.lines().skip(1).any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.get(1) == Some(&"00000000") && fields.get(7) == Some(&"00000000")
    })
}

/// A default route other than the unreachable one over lo.
fn is_routed_v6(table: &str) -> bool {
    table.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_default =
            fields.first().is_some_and(|to| to.bytes().all(|byte| byte == b'0')) && fields.get(1) == Some(&"00");
        is_default && fields.last().is_some_and(|device| *device != "lo")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes() {
        let head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
        let near = "eth0\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        let default = "eth0\t00000000\t0202000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n";
        assert!(!is_routed_v4(&format!("{head}{near}")));
        assert!(is_routed_v4(&format!("{head}{default}{near}")));
        let zeros = "0".repeat(32);
        let line =
            |device: &str| format!("{zeros} 00 {zeros} 00 {zeros} ffffffff 00000001 00000000 00200200 {device}\n");
        assert!(!is_routed_v6(&line("      lo")));
        assert!(is_routed_v6(&line("    eth0")));
    }

    #[test]
    fn a_clock_later_than_the_image() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = RootDir::new(directory.path());
        assert_eq!(image_time(&root), None, "an image without a time");
        root.write(IMAGE, b"ID=x\n", crate::root::Access::mode(0o644)).expect("written");
        let built = image_time(&root).expect("a time");
        let mut said = Vec::new();
        assert_eq!(wait_for_clock(&root, built, "it was built", &mut |text| said.push(text.to_owned())), Ok(()));
        assert!(said.is_empty(), "{said:?}");
    }

    #[test]
    fn a_clock_that_is_behind_is_waited_for() {
        let directory = tempfile::tempdir().expect("a directory");
        let (root, mut said) = (RootDir::new(directory.path()), Vec::new());
        let soon = SystemTime::now() + Duration::from_millis(300);
        assert_eq!(wait_for_clock(&root, soon, "it was built", &mut |text| said.push(text.to_owned())), Ok(()));
        assert!(SystemTime::now() >= soon);
        assert_eq!(said.len(), 1);
        assert!(
            said[0].ends_with("before it was built, and no time server has answered: no certificate can be checked")
        );
    }
}
