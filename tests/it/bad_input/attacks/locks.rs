//! Locks edited by hand, or by whoever sends a change.

use super::{Attacks, builds_the_same_or_nothing, damaged};
use crate::bad_input::site::{Keys, Site};

#[test]
fn every_value_of_a_lock() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    let sums = site.builds(&[]);
    let lock = site.read("profiles/worker.lock");
    let mut attacks = Attacks::of("locks");
    let mut texts: Vec<(String, Vec<u8>)> = damaged(lock.as_bytes(), 60);
    let strings: Vec<&str> = lock.split('"').skip(1).step_by(2).collect();
    for (at, string) in strings.iter().enumerate() {
        for new in ["", "../../../etc/passwd", "\\u001b[2J", "base", "0".repeat(64).as_str()] {
            let old = format!("\"{string}\"");
            texts.push((
                format!("string {at}, {string:?}: {new:?}"),
                lock.replacen(&old, &format!("\"{new}\""), 1).into(),
            ));
        }
    }
    for (old, new) in [(":1,", ":2,"), ("\"size\":", "\"size\":9"), ("[", "[[[[[[[["), ("{", "{\"x\":1,")] {
        texts.push((format!("{old} → {new}"), lock.replace(old, new).into()));
    }
    texts.push(("deep".into(), "[".repeat(100_000).into()));
    texts.push(("null".into(), "null".into()));
    texts.push(("empty".into(), Vec::new()));
    texts.push(("not UTF-8".into(), vec![0xff; 100]));
    texts.push(("17 MiB".into(), vec![b' '; 17 << 20]));
    for (what, text) in texts {
        if attacks.next() {
            site.write("profiles/worker.lock", &text);
            builds_the_same_or_nothing(&mut attacks, &what, &site, &["--locked"], &sums);
        }
    }
    attacks.end(120);
}
