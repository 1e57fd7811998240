//! `metadata_csum`: CRC-32C of every structure, begun with what the structure belongs to.

use crate::guid::Guid;
use crc::{Algorithm, CRC_32_ISCSI, Crc, Table};

/// As Linux's `crc32c_le`: neither begun nor ended by an inversion.
const RAW: Algorithm<u32> = Algorithm { xorout: 0, ..CRC_32_ISCSI };
static CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&RAW);

/// A checksum that can be continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Checksum(u32);

impl Checksum {
    /// Of nothing yet: the superblock's own begins so.
    pub(super) const START: Self = Self(!0);

    /// What the checksums of a file system begin with: `s_uuid`.
    pub(super) fn of_file_system(uuid: &Guid) -> Self {
        Self::START.then(uuid.as_bytes())
    }

    /// What the checksums of an inode and of its blocks begin with. Its generation is 0.
    pub(super) fn of_inode(self, number: u32) -> Self {
        self.then(&number.to_le_bytes()).then(&0_u32.to_le_bytes())
    }

    /// Continued over `bytes`.
    pub(super) fn then(self, bytes: &[u8]) -> Self {
        let mut digest = CRC.digest_with_initial(self.0.reverse_bits());
        digest.update(bytes);
        Self(digest.finalize())
    }

    /// All 32 bits.
    pub(super) fn get(self) -> u32 {
        self.0
    }

    /// Its halves, where structures keep them apart: low, high.
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
