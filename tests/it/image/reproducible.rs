//! The same inputs give the same bytes for every user, directory, machine and time.

use crate::image::checkout::Checkout;
use crate::image::shared::{SUITES, built};
use crate::image::tools::{find, run, tool};
use std::ffi::OsString;
use std::fs;
use std::path::Path;

/// Changes everything that may differ between two machines at once; on failure, the first
/// difference of the manifests shows where to look.
#[test]
fn another_machine_bakes_the_same_image() {
    for suite in SUITES {
        let built = built(suite);
        let checkout = Checkout::of(built);
        // Files with times of another century, as an archive or a checkout may have them.
        let mut touch = tool("find", "findutils");
        touch.arg(checkout.path()).arg(checkout.overlay()).args([
            "-exec",
            "touch",
            "-h",
            "-d",
            "1999-12-31T23:59:59",
            "{}",
            "+",
        ]);
        run(&mut touch);
        assert_ne!(
            listed(&built.overlay()),
            listed(&checkout.overlay()),
            "both file systems list a directory in the same order, so its order is not proven to be irrelevant"
        );
        let faketime = tool("faketime", "faketime").get_program().to_owned();
        let mut wrapper = checkout.stranger();
        // A shell sets the umask, then taskset the processors and faketime the date, and then kiln
        // runs.
        wrapper.arg(find("bash").expect("bash")).args(["-c", "umask 077; exec \"$@\"", "bash"]);
        wrapper.arg(find("taskset").expect("taskset of util-linux")).args(["-c", "0"]);
        wrapper.arg(faketime).arg("2033-05-18 03:33:20");
        let mut build = checkout.build(suite, wrapper);
        build.env_clear();
        build.env("HOME", checkout.path().join("home")).env("XDG_CACHE_HOME", checkout.path().join("home/cache"));
        build
            .env("PATH", "/usr/bin:/bin")
            .env("TZ", "Pacific/Kiritimati")
            .env("LANG", "tr_TR.UTF-8")
            .env("LC_ALL", "tr_TR.UTF-8");
        build.env("SOURCE_DATE_EPOCH", "1").env("USER", "mallory").env("TMPDIR", checkout.path());
        run(build.args(["-j", "7"]));
        checkout.check_same(built, "another user, umask, time, zone, language, folder and -j");
    }
}

#[test]
fn warm_and_cold_caches_and_any_number_of_threads_give_the_same_image() {
    let built = built("trixie");
    let checkout = Checkout::of(built);
    for (jobs, forget) in [("1", true), ("33", false), ("2", true)] {
        if forget {
            checkout.forget();
        }
        if checkout.out().exists() {
            fs::remove_dir_all(checkout.out()).expect("removed");
        }
        let mut build = checkout.build("trixie", tool("env", "coreutils"));
        run(build.args(["-j", jobs]));
        checkout.check_same(built, &format!("-j {jobs} with a {} cache", if forget { "cold" } else { "warm" }));
    }
}

/// The names in a directory of the overlay, in the file system's own order.
fn listed(overlay: &Path) -> Vec<OsString> {
    let entries = fs::read_dir(overlay.join("rootfs/etc/proof")).expect("a directory");
    entries.map(|entry| entry.expect("an entry").file_name()).collect()
}
