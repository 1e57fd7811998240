//! `metadata_csum`: the CRC-32C of every structure, seeded with the file system or inode that the
//! structure belongs to.

use crate::guid::Guid;
use crc::{Algorithm, CRC_32_ISCSI, Crc, Table};

/// Computes like Linux's `crc32c_le`: without an inversion at the beginning or the end.
const RAW: Algorithm<u32> = Algorithm { xorout: 0, ..CRC_32_ISCSI };
static CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&RAW);

/// A checksum that more bytes can be added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Checksum(u32);

impl Checksum {
    /// The initial value, from which the superblock's own checksum starts.
    pub(super) const START: Self = Self(!0);

    /// The seed of a file system's checksums: `s_uuid`.
    pub(super) fn of_file_system(uuid: &Guid) -> Self {
        Self::START.then(uuid.as_bytes())
    }

    /// The seed for the checksums of an inode and of its blocks. `i_generation` is 0.
    pub(super) fn of_inode(self, number: u32) -> Self {
        self.then(&number.to_le_bytes()).then(&0_u32.to_le_bytes())
    }

    /// The checksum continued over `bytes`.
    pub(super) fn then(self, bytes: &[u8]) -> Self {
        let mut digest = CRC.digest_with_initial(self.0.reverse_bits());
        digest.update(bytes);
        Self(digest.finalize())
    }

    /// All 32 bits.
    pub(super) fn get(self) -> u32 {
        self.0
    }

    /// The low and the high half, for structures that store them separately.
    pub(super) fn halves(self) -> [[u8; 2]; 2] {
        let [a, b, c, d] = self.0.to_le_bytes();
        [[a, b], [c, d]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_rfc_3720_not_inverted() {
        // B.4: "123456789" has 0xe3069283.
        assert_eq!(!Checksum::START.then(b"123456789").get(), 0xe306_9283);
        assert_eq!(!Checksum::START.then(b"1234").then(b"56789").get(), 0xe306_9283);
    }
}
