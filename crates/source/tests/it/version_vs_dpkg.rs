//! Compares the order of versions with `dpkg --compare-versions`.

use kiln_source::deb::version::{compare, validate};
use std::cmp::Ordering;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Command;

/// The number of pairs in one shell, each of which costs one fork of dpkg.
const PAIRS: usize = 3000;

/// A small generator of numbers (Knuth's MMIX constants), so that every run compares the same
/// pairs.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % limit
    }

    /// Short strings over few characters, so that close and equal versions are frequent.
    fn version(&mut self) -> String {
        const PARTS: [&str; 22] = [
            "0", "1", "2", "10", "01", "00", "9", "a", "b", "Z", ".", "+", "~", "-", "~~", ".0", "-1", "+b1", "~rc",
            "z.", "-0", ":0",
        ];
        let mut version = ["", "", "", "0:", "1:"][self.below(5)].to_owned();
        version.push_str(["0", "1", "1.", "2"][self.below(4)]);
        for _ in 0..self.below(5) {
            version.push_str(PARTS[self.below(PARTS.len())]);
        }
        version
    }
}

#[test]
fn versions_are_ordered_as_by_dpkg() {
    let mut numbers = Numbers(2);
    let mut pairs = vec![];
    while pairs.len() < PAIRS {
        let (a, b) = (numbers.version(), numbers.version());
        if validate(&a).is_ok() && validate(&b).is_ok() {
            pairs.push((a, b));
        }
    }
    let mut script = String::new();
    for (number, (a, b)) in pairs.iter().enumerate() {
        let operator = match compare(a, b) {
            Ordering::Less => "lt",
            Ordering::Equal => "eq",
            Ordering::Greater => "gt",
        };
        writeln!(script, "dpkg --compare-versions '{a}' {operator} '{b}' || echo '{number}: {a} {operator} {b}'")
            .expect("a string");
    }
    script.push_str("echo done\n");
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(script.as_bytes()).expect("the script is written");
    let output = Command::new("sh").arg(file.path()).output().expect("sh runs");
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!((&*out, &*errors), ("done\n", ""), "dpkg (of the Debian package dpkg) disagrees");
    let equal = pairs.iter().filter(|(a, b)| a != b && compare(a, b).is_eq()).count();
    assert!(equal >= 20, "only {equal} pairs are equal though written differently");
}

#[test]
fn versions_that_dpkg_accepts_are_accepted() {
    for text in [
        "1",
        "0:1",
        "1:1:1-1",
        "1-",
        "1:",
        ":1",
        "a:1",
        "1-1-1",
        "1_1",
        "1 1",
        "2147483647:1",
        "2147483648:1",
        "1~",
        "1-~",
        "1.ä",
    ] {
        // dpkg exits with 2 for bad syntax, unless the other side is fine and it only warns; so
        // both sides are the same.
        let output = Command::new("dpkg")
            .args(["--compare-versions", text, "eq", text])
            .env("LC_ALL", "C")
            .output()
            .expect("dpkg runs: install the Debian package dpkg");
        let complains = !output.status.success() || output.stderr.starts_with(b"dpkg: warning");
        assert_eq!(validate(text).is_err(), complains, "{text:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
