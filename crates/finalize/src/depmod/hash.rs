//! The order of kmod's hash tables, in which it writes everything that it does not sort.

/// Number of buckets in kmod's table of modules.
pub(super) const MODULE_BUCKETS: u32 = 512;
/// Number of buckets in kmod's table of symbols.
pub(super) const SYMBOL_BUCKETS: u32 = 2048;

/// The sort key for the order in which kmod iterates over a table with `buckets` (a power of two)
/// buckets: by bucket, and within a bucket by key.
pub(super) fn order(key: &str, buckets: u32) -> (u32, &str) {
    (superfast(key.as_bytes()) & (buckets - 1), key)
}

/// Paul Hsieh's SuperFastHash as in kmod's `shared/hash.c`, on a little-endian machine.
fn superfast(key: &[u8]) -> u32 {
    // kmod also takes the length modulo 2³².
    let mut hash = u32::try_from(key.len() & 0xffff_ffff).unwrap_or(u32::MAX);
    let pair = |low: u8, high: u8| u32::from(u16::from_le_bytes([low, high]));
    let mut chunks = key.chunks_exact(4);
    for chunk in &mut chunks {
        hash = hash.wrapping_add(pair(chunk[0], chunk[1]));
        let mixed = (pair(chunk[2], chunk[3]) << 11) ^ hash;
        hash = (hash << 16) ^ mixed;
        hash = hash.wrapping_add(hash >> 11);
    }
    match *chunks.remainder() {
        [a, b, c] => {
            hash = hash.wrapping_add(pair(a, b));
            hash ^= hash << 16;
            hash ^= u32::from(c) << 18;
            hash = hash.wrapping_add(hash >> 11);
        }
        [a, b] => {
            hash = hash.wrapping_add(pair(a, b));
            hash ^= hash << 11;
            hash = hash.wrapping_add(hash >> 17);
        }
        [a] => {
            hash = hash.wrapping_add(u32::from(a));
            hash ^= hash << 10;
            hash = hash.wrapping_add(hash >> 1);
        }
        _ => {}
    }
    hash ^= hash << 3;
    hash = hash.wrapping_add(hash >> 5);
    hash ^= hash << 4;
    hash = hash.wrapping_add(hash >> 17);
    hash ^= hash << 25;
    hash.wrapping_add(hash >> 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values from kmod's own `shared/hash.c` compiled for x86-64.
    #[test]
    fn hashes_are_kmods() {
        for (key, hash) in REFERENCE {
            assert_eq!(superfast(key.as_bytes()), *hash, "{key:?}");
        }
    }

    const REFERENCE: &[(&str, u32)] = &[
        ("", 0),
        ("a", 0x115e_a782),
        ("ab", 0x516b_8b44),
        ("abc", 0xd2be_198a),
        ("ext4", 0xe679_ab16),
        ("nf_conntrack", 0x94a6_5959),
        ("crypto_register_alg", 0xd520_ca42),
        ("xt_x", 0x4209_b532),
    ];
}
