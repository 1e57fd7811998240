//! Tests with a stub made here; Debian's stubs are checked with objdump in tests/it/disk, and by
//! booting.

use super::*;
use proptest::prelude::*;

const HEADERS: usize = 0x400;

/// An image with one section of 600 bytes followed by a symbol table.
fn stub() -> Vec<u8> {
    let mut bytes = vec![0; HEADERS];
    bytes[..2].copy_from_slice(b"MZ");
    put32(&mut bytes, 0x3c, 0x80);
    bytes[0x80..0x84].copy_from_slice(b"PE\0\0");
    bytes[0x84..0x86].copy_from_slice(&MACHINE_AMD64.to_le_bytes());
    bytes[0x86] = 1;
    put32(&mut bytes, 0x84 + 8, 0x800);
    put32(&mut bytes, 0x84 + 12, 7);
    bytes[0x84 + 16] = 240;
    let optional = 0x98;
    bytes[optional..optional + 2].copy_from_slice(&PE32_PLUS.to_le_bytes());
    put32(&mut bytes, optional + 32, 4096);
    put32(&mut bytes, optional + 36, 512);
    put32(&mut bytes, optional + 60, 0x400);
    put32(&mut bytes, optional + 108, 16);
    put32(&mut bytes, optional + 112 + 8 * SECURITY_DIRECTORY, 99);
    let section = optional + 240;
    bytes[section..section + 5].copy_from_slice(b".text");
    for (index, value) in [600, 0x1000, 1024, 0x400].into_iter().enumerate() {
        put32(&mut bytes, section + 8 + 4 * index, value);
    }
    bytes.extend([0xcc; 1024]);
    bytes.extend(b"symbols");
    bytes
}

fn section(name: &str, size: u64) -> Section<'_> {
    Section { name, size, code: false }
}

#[test]
fn new_sections_follow_the_stubs_and_what_followed_is_removed() {
    let plan = append(&stub(), MACHINE_AMD64, &[section(".osrel", 3), section(".linux", 5000)]).expect("a plan");
    assert_eq!(plan.head.len(), 0x800);
    assert_eq!(plan.sections, [0x800..0x803, 0xa00..0xa00 + 5000]);
    assert_eq!(plan.size, 0xa00 + 5120);
    assert_eq!(get16(&plan.head, 0x86), Some(3));
    assert_eq!((get32(&plan.head, 0x84 + 8), get32(&plan.head, 0x84 + 12)), (Some(0), Some(0)));
    let entry = 0x98 + 240 + 2 * SECTION_SIZE;
    assert_eq!(&plan.head[entry..entry + 8], b".linux\0\0");
    assert_eq!([8, 12, 16, 20].map(|field| get32(&plan.head, entry + field).unwrap_or(0)), [5000, 0x3000, 5120, 0xa00]);
    assert_eq!(get32(&plan.head, 0x98 + 56), Some(0x5000));
    assert_eq!(get32(&plan.head, 0x98 + 112 + 8 * SECURITY_DIRECTORY), Some(0));
}

#[test]
fn sections_that_cannot_be_appended_are_rejected() {
    let stub = stub();
    let error = |sections: &[Section<'_>]| append(&stub, MACHINE_AMD64, sections).expect_err("refused");
    assert_eq!(error(&[section(".text", 1)]), PeError::Duplicate(".text".into()));
    assert_eq!(error(&[section(".toolongname", 1)]), PeError::TooLarge(".toolongname".into()));
    assert_eq!(error(&[section(".a", 1 << 31)]), PeError::TooLarge(".a".into()));
    assert_eq!(error(&[section(".a", 1 << 30), section(".b", 1 << 30)]), PeError::TooLarge(".b".into()));
    let room = (HEADERS - (0x98 + 240 + SECTION_SIZE)) / SECTION_SIZE;
    assert_eq!(error(&vec![section(".a", 1); room + 1]), PeError::TooManySections { room, wanted: room + 1 });
    let other = append(&stub, MACHINE_ARM64, &[]).expect_err("refused");
    assert_eq!(other, PeError::Machine { found: MACHINE_AMD64, wanted: MACHINE_ARM64 });
}

#[test]
fn every_truncation_is_noticed() {
    let stub = stub();
    for length in 0..0x800 {
        assert!(append(&stub[..length], MACHINE_AMD64, &[]).is_err(), "{length}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let _ = append(&bytes, MACHINE_AMD64, &[section(".linux", 5000)]);
    }

    #[test]
    fn mutated_stubs_never_panic(at in 0_usize..0x300, value: u8, at2 in 0_usize..0x300, value2: u8) {
        let mut bytes = stub();
        (bytes[at], bytes[at2]) = (value, value2);
        if let Ok(plan) = append(&bytes, MACHINE_AMD64, &[section(".linux", 5000)]) {
            prop_assert!(plan.head.len() <= bytes.len() && plan.size < 1 << 31);
        }
    }
}
