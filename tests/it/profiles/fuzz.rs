//! No contents of a file make the loader panic, hang or print more than one line.

use super::{Profiles, shipped_dir};
use proptest::prelude::*;
use std::fs;

fn survives(worker: &[u8], release: &[u8]) {
    let base = fs::read(shipped_dir().join("base.yaml")).expect("base.yaml");
    let profiles = Profiles::new(&base, worker);
    profiles.write("profiles/releases/v1.36.4.yaml", release);
    if let Err(error) = profiles.load() {
        assert!(!error.to_string().contains('\n'), "{error:?}");
    }
}

fn shipped(name: &str) -> Vec<u8> {
    fs::read(shipped_dir().join(name)).expect("a shipped profile")
}

/// One change of a file.
#[derive(Debug, Clone)]
enum Change {
    Overwrite(prop::sample::Index, u8),
    Remove(prop::sample::Index, usize),
    Insert(prop::sample::Index, String),
    Copy(prop::sample::Index, prop::sample::Index, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    let yaml = prop_oneof![
        "[-:{}\\[\\],&*!|>'\"%@`#? \n\t~a0.]{1,6}",
        Just("null".to_owned()),
        Just("\n  - ".to_owned()),
        Just(": [".to_owned()),
        "\\PC{1,4}",
    ];
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Change::Overwrite(at, byte)),
        (at(), 1..40_usize).prop_map(|(at, len)| Change::Remove(at, len)),
        (at(), yaml).prop_map(|(at, text)| Change::Insert(at, text)),
        (at(), at(), 1..200_usize).prop_map(|(from, to, len)| Change::Copy(from, to, len)),
    ]
}

fn mutated(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        if bytes.is_empty() {
            break;
        }
        let size = bytes.len();
        match change {
            Change::Overwrite(at, byte) => bytes[at.index(size)] = *byte,
            Change::Remove(at, len) => {
                let at = at.index(size);
                bytes.drain(at..size.min(at + len));
            }
            Change::Insert(at, text) => {
                let at = at.index(size);
                bytes.splice(at..at, text.bytes());
            }
            Change::Copy(from, to, len) => {
                let from = from.index(size);
                let part = bytes[from..size.min(from + len)].to_vec();
                let to = to.index(size);
                bytes.splice(to..to, part);
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        survives(&bytes, &bytes);
    }

    #[test]
    fn arbitrary_text(text in "[-:{}\\[\\],&*!|>'\"%@`#? \n\t~a-e0-9.]{0,200}") {
        survives(text.as_bytes(), text.as_bytes());
    }

    #[test]
    fn mutated_profiles(changes in prop::collection::vec(change(), 1..8)) {
        survives(&mutated(shipped("worker.yaml"), &changes), &shipped("releases/v1.36.4.yaml"));
        survives(&mutated(shipped("base.yaml"), &changes), &shipped("releases/v1.36.4.yaml"));
        survives(&shipped("worker.yaml"), &mutated(shipped("releases/v1.36.4.yaml"), &changes));
    }
}
