//! The superblock of a dm-verity hash device (cryptsetup's lib/verity/verity.c), and the
//! device-mapper table made from it (Documentation/admin-guide/device-mapper/verity.rst).
//!
//! The image's initrd has a copy of the superblock that the builder wrote. The superblock on the
//! disk must be identical, so that nothing on a disk is used before the root hash verifies it.

use std::fmt::{self, Write as _};

/// The path of the superblock in the initrd, without a leading slash.
pub const FILE: &str = "usr/lib/kiln/verity-superblock";

/// The size of a superblock in bytes.
pub const SIZE: usize = 512;

/// The only accepted size of data and hash blocks, in bytes.
pub const BLOCK_SIZE: u64 = 4096;

/// The fields of a superblock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superblock {
    /// The UUID of the hash device.
    pub uuid: [u8; 16],
    /// The number of data blocks.
    pub data_blocks: u64,
    /// The salt of every hash.
    pub salt: Vec<u8>,
}

/// Why a superblock is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuperblockError(&'static str);

impl fmt::Display for SuperblockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the verity superblock {}", self.0)
    }
}

impl std::error::Error for SuperblockError {}

impl Superblock {
    /// Reads `struct verity_sb`: version 1, hash type 1, SHA-256, blocks of [`BLOCK_SIZE`].
    ///
    /// # Errors
    /// [`SuperblockError`] for anything else.
    pub fn parse(bytes: &[u8]) -> Result<Self, SuperblockError> {
        let refuse = |why| Err(SuperblockError(why));
        let Some(bytes) = bytes.first_chunk::<SIZE>() else { return refuse("is truncated") };
        let number = |at: usize, size: usize| {
            bytes[at..at + size].iter().rev().fold(0_u64, |number, &byte| number << 8 | u64::from(byte))
        };
        if &bytes[..8] != b"verity\0\0" {
            return refuse("has no signature");
        }
        if (number(8, 4), number(12, 4)) != (1, 1) {
            return refuse("does not have the version and hash type 1");
        }
        if bytes[32..64] != *b"sha256\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" {
            return refuse("does not use the hash sha256");
        }
        if (number(64, 4), number(68, 4)) != (BLOCK_SIZE, BLOCK_SIZE) {
            return refuse("does not use blocks of 4096 bytes");
        }
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&bytes[16..32]);
        let salt = usize::try_from(number(80, 2)).ok().and_then(|size| bytes[88..344].get(..size));
        let Some(salt) = salt else { return refuse("has a salt that is too long") };
        Ok(Self { uuid, data_blocks: number(72, 8), salt: salt.to_vec() })
    }

    /// The size of the data in 512-byte sectors, device-mapper's unit.
    pub fn sectors(&self) -> Option<u64> {
        self.data_blocks.checked_mul(BLOCK_SIZE / 512)
    }

    /// The parameters of the `verity` target; devices are given as `major:minor` or as paths.
    ///
    /// A block that does not match its hash makes the kernel panic, which reports it on the console
    /// and reboots according to `panic=`. Continuing with I/O errors would leave a node that works
    /// only in part.
    pub fn table(&self, data: &str, hashes: &str, root_hash: &[u8; 32]) -> String {
        let Self { data_blocks, salt, .. } = self;
        let salt = if salt.is_empty() { "-".to_owned() } else { hex(salt) };
        let root_hash = hex(root_hash);
        // The hashes begin in the block after the superblock.
        format!(
            "1 {data} {hashes} {BLOCK_SIZE} {BLOCK_SIZE} {data_blocks} 1 sha256 {root_hash} {salt} 1 panic_on_corruption"
        )
    }
}

/// The root hash in lower- or upper-case hexadecimal, as in `roothash=`.
pub fn root_hash(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect::<Option<_>>()?;
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
    bytes.try_into().ok()
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").ok();
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn superblock() -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        bytes[..8].copy_from_slice(b"verity\0\0");
        bytes[8] = 1;
        bytes[12] = 1;
        bytes[16..32].fill(9);
        bytes[32..38].copy_from_slice(b"sha256");
        bytes[65] = 0x10;
        bytes[69] = 0x10;
        bytes[72] = 200;
        bytes[80] = 2;
        bytes[88..90].copy_from_slice(&[0xab, 0x01]);
        bytes
    }

    #[test]
    fn a_table_is_made_from_a_superblock() {
        let parsed = Superblock::parse(&superblock()).expect("a superblock");
        assert_eq!(parsed, Superblock { uuid: [9; 16], data_blocks: 200, salt: vec![0xab, 1] });
        assert_eq!(parsed.sectors(), Some(1600));
        assert_eq!(
            parsed.table("254:3", "254:4", &[0x11; 32]),
            format!("1 254:3 254:4 4096 4096 200 1 sha256 {} ab01 1 panic_on_corruption", "11".repeat(32))
        );
    }

    #[test]
    fn other_superblocks_are_rejected() {
        for at in [0, 8, 12, 32, 38, 64, 68, 81] {
            let mut bytes = superblock();
            bytes[at] ^= 2;
            assert!(Superblock::parse(&bytes).is_err(), "{at}");
        }
        assert!(Superblock::parse(&superblock()[..511]).is_err());
    }

    #[test]
    fn a_root_hash_has_sixty_four_digits() {
        assert_eq!(root_hash(&"aB".repeat(32)), Some([0xab; 32]));
        for bad in ["", "ab", &"ab".repeat(33), &"+b".repeat(32), &"ag".repeat(32), &"a".repeat(63)] {
            assert_eq!(root_hash(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn mutated_superblocks_never_panic(at in 0..SIZE, byte: u8, cut in 0..=SIZE) {
            let mut bytes = superblock();
            bytes[at] = byte;
            if let Ok(parsed) = Superblock::parse(&bytes[..cut]) {
                prop_assert!(parsed.salt.len() <= 256);
            }
        }
    }
}
