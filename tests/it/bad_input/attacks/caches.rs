//! Files of the cache that were damaged after they were written.

use super::{Attacks, builds_the_same_or_nothing, damaged};
use crate::bad_input::site::{Keys, Site, tree};
use std::fs;
use std::path::PathBuf;

#[test]
fn every_file_of_a_cache() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    let sums = site.builds(&[]);
    let mut attacks = Attacks::of("caches");
    let is_data = |path: &PathBuf| path.is_file() && !path.ends_with("CACHEDIR.TAG") && !path.ends_with("lock");
    let files: Vec<PathBuf> = tree(&site.path("cache")).into_keys().filter(is_data).collect();
    assert!(files.len() > 8, "{files:?}");
    for path in files {
        let Ok(good) = fs::read(&path) else { continue };
        if good.is_empty() {
            continue;
        }
        for (what, bytes) in damaged(&good, 8) {
            if attacks.next() {
                fs::create_dir_all(path.parent().expect("a parent")).expect("made");
                fs::write(&path, bytes).expect("written");
                // Otherwise what hides it is used.
                for kind in ["frame", "output"] {
                    if !path.starts_with(site.path("cache/derived").join(kind)) {
                        let _ = fs::remove_dir_all(site.path("cache/derived").join(kind));
                    }
                }
                if path.starts_with(site.path("cache/blobs")) {
                    let _ = fs::remove_dir_all(site.path("cache/derived"));
                }
                builds_the_same_or_nothing(
                    &mut attacks,
                    &format!("{}: {what}", path.display()),
                    &site,
                    &["--locked"],
                    &sums,
                );
            }
        }
    }
    attacks.end(60);
}
