//! The bytes do not depend on the number of threads, and the digests match the files.

use crate::formats::disks::REAL;
use crate::formats::tools::sha256sums;
use kiln_profile::Output;
use std::fs;

#[test]
fn bytes_do_not_depend_on_the_number_of_threads() {
    for kind in Output::encodings() {
        let first = REAL.encode(kind, "one", 1);
        for threads in [0, 2, 3, 64] {
            let next = REAL.encode(kind, "more", threads);
            assert_eq!(first.digests(), next.digests(), "{kind:?} with {threads} threads");
        }
    }
}

#[test]
fn digests_are_the_files() {
    for kind in Output::encodings() {
        // Replaces a longer file of the same name.
        let encoded = REAL.encode(kind, "digests", 4);
        for file in &encoded.files {
            fs::write(encoded.directory.join(&file.path), vec![7; usize::try_from(file.size).expect("small") + 999])
                .expect("written");
        }
        let encoded = REAL.encode(kind, "digests", 4);
        let names: Vec<&str> = encoded.files.iter().map(|file| file.path.as_str()).collect();
        for (file, sum) in encoded.files.iter().zip(sha256sums(&encoded.directory, &names)) {
            assert_eq!((&file.sha256.to_string(), file.content), (&sum, None), "{}", file.path);
            assert_eq!(file.size, fs::metadata(encoded.directory.join(&file.path)).expect("there").len());
        }
    }
}
