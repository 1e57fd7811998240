//! Errors name what cannot be read or written and the remedy.

use crate::formats::disks::{NAMING, REAL};
use kiln_artifact::cloud;
use kiln_format::block::BlockSource;
use kiln_profile::Output;
use std::io;
use std::ops::Range;

/// A disk whose 200th mebibyte cannot be read.
struct Damaged(Vec<Range<u64>>);

impl BlockSource for Damaged {
    fn size(&self) -> u64 {
        1 << 30
    }

    fn data(&self) -> &[Range<u64>] {
        &self.0
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        buffer.fill(1);
        if offset + buffer.len() as u64 > 200 << 20 { Err(io::Error::other("bad sector")) } else { Ok(()) }
    }
}

#[test]
fn a_disk_that_cannot_be_read_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    for kind in Output::encodings() {
        for threads in [1, 8] {
            let source = Damaged(vec![0..512 << 20, 512 << 20..1 << 30]);
            let error = cloud::encode(kind, &source, &NAMING, directory.path(), threads, &|_| ()).expect_err("damaged");
            let start = format!("making {}/disk.", directory.path().display());
            let said = error.to_string();
            assert!(said.starts_with(&start), "{said}");
            assert!(said.ends_with(": reading the disk at byte 209715200: bad sector"), "{said}");
        }
    }
}

#[test]
fn an_output_that_cannot_be_written_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let missing = directory.path().join("missing");
    for kind in Output::encodings() {
        let error = cloud::encode(kind, &REAL.source, &NAMING, &missing, 2, &|_| ()).expect_err("nowhere");
        let said = error.to_string();
        assert!(said.starts_with(&format!("writing {}/disk.", missing.display())), "{said}");
        assert!(said.contains("No such file or directory") && said.contains("choose another place"), "{said}");
    }
}
