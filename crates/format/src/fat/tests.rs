//! Tests of the plan as a whole; fsck.vfat and mtools check in tests/it/disk that it is FAT32.

use super::*;

const SIZE: u64 = 40 << 20;

fn volume() -> Volume {
    Volume::new(SIZE, 0x1234_5678, "ESP", 1_700_000_000).expect("a volume")
}

#[test]
fn files_are_contiguous_disjoint_and_aligned_to_clusters() {
    let mut volume = volume();
    for (path, size) in [("EFI/BOOT/BOOTX64.EFI", 70_001), ("loader/loader.conf", 20), ("a b/é.txt", 512), ("none", 0)]
    {
        volume.add(path, size).expect("added");
    }
    let plan = volume.plan().expect("a plan");
    let mut taken: Vec<Range<u64>> = plan.files.values().filter(|range| !range.is_empty()).cloned().collect();
    assert!(taken.iter().all(|range| range.start % 512 == 0));
    taken.extend(plan.metadata.iter().map(|(offset, bytes)| *offset..offset + bytes.len() as u64));
    taken.sort_by_key(|range| range.start);
    assert!(taken.windows(2).all(|pair| pair[0].end <= pair[1].start), "{taken:?}");
    assert!(taken.last().is_some_and(|range| range.end <= SIZE));
    assert_eq!(plan.files["none"], 0..0);
    assert_eq!(plan, volume.plan().expect("the same plan"));
}

#[test]
fn files_that_do_not_fit_are_rejected_with_both_sizes() {
    let mut volume = volume();
    volume.add("big", SIZE).expect("added");
    let FatError::Full { needed, room } = volume.plan().expect_err("full") else { panic!("another error") };
    assert!(needed > SIZE && room < SIZE);
    assert!(matches!(volume.add("x", 1 << 32), Err(FatError::FileTooLarge { .. })));
}

#[test]
fn bad_names_are_rejected() {
    let mut volume = volume();
    volume.add("EFI/one", 1).expect("added");
    for path in ["", "a//b", "a:b", "a.", "a ", "a\n", &"x".repeat(256)] {
        assert!(matches!(volume.add(path, 1), Err(FatError::Name(_))), "{path:?}");
    }
    for path in ["efi/ONE", "EFI/one/two", "efi"] {
        assert!(matches!(volume.add(path, 1), Err(FatError::Duplicate(_))), "{path:?}");
    }
    for label in ["", "esp", "TWELVE-CHARS", "A B"] {
        assert!(matches!(Volume::new(SIZE, 0, label, 0), Err(FatError::Label(_))), "{label:?}");
    }
}
