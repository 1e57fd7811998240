//! Decompresses indexes; memory is bounded by the size that a signed `Release` announces.

use std::io::Read;

/// The most memory that xz may use: `xz -9` needs 65 MiB, and Debian uses less.
const XZ_MEMORY: u64 = 128 << 20;
/// The largest zstd window, as a power of two: `zstd --ultra` needs 27.
const ZSTD_WINDOW_LOG: u32 = 27;

/// Why bytes cannot be decompressed.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The data is malformed or truncated, or needs too much memory.
    #[error("decompressing it as {name} failed: {why}")]
    Corrupt {
        /// The format.
        name: &'static str,
        /// The decompressor's error.
        why: std::io::Error,
    },
    /// A decompression bomb, or a wrong announcement.
    #[error("it decompresses to more than the {limit} bytes announced")]
    TooLarge {
        /// What was announced.
        limit: u64,
    },
}

/// A compression of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// `.xz`, Debian's choice.
    Xz,
    /// `.zst`
    Zstd,
    /// `.gz`
    Gzip,
    /// Not compressed.
    None,
}

impl Compression {
    /// All compressions, in order of preference.
    pub const ALL: [Self; 4] = [Self::Xz, Self::Zstd, Self::Gzip, Self::None];

    /// The suffix of the file name.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Xz => ".xz",
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
            Self::None => "",
        }
    }
}

/// Decompresses `bytes` into at most `limit` bytes.
///
/// # Errors
/// The bytes are malformed or cut short, or there are more than `limit`.
pub fn unpack(bytes: Vec<u8>, compression: Compression, limit: u64) -> Result<Vec<u8>, UnpackError> {
    let corrupt = |why| UnpackError::Corrupt { name: compression.suffix(), why };
    match compression {
        Compression::Xz => {
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)
                .map_err(|error| corrupt(error.into()))?;
            read(liblzma::read::XzDecoder::new_stream(bytes.as_slice(), stream), limit).map_err(corrupt)?
        }
        Compression::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(bytes.as_slice()).map_err(corrupt)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(corrupt)?;
            read(decoder, limit).map_err(corrupt)?
        }
        Compression::Gzip => read(flate2::read::MultiGzDecoder::new(bytes.as_slice()), limit).map_err(corrupt)?,
        Compression::None => {
            let fits = u64::try_from(bytes.len()).is_ok_and(|length| length <= limit);
            fits.then_some(bytes)
        }
    }
    .ok_or(UnpackError::TooLarge { limit })
}

/// Reads all bytes; `None` if there are more than `limit`. Memory grows with the received bytes,
/// not with the announced size.
fn read(reader: impl Read, limit: u64) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    reader.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(u64::try_from(bytes.len()).is_ok_and(|length| length <= limit).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn pack(text: &[u8], compression: Compression) -> Vec<u8> {
        match compression {
            Compression::Xz => {
                let mut writer = liblzma::write::XzEncoder::new(Vec::new(), 6);
                writer.write_all(text).and_then(|()| writer.finish())
            }
            Compression::Zstd => zstd::encode_all(text, 3),
            Compression::Gzip => {
                let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                writer.write_all(text).and_then(|()| writer.finish())
            }
            Compression::None => Ok(text.to_vec()),
        }
        .expect("in memory")
    }

    #[test]
    fn every_compression_is_unpacked_and_bounded() {
        let text = vec![b'x'; 100_000];
        for compression in Compression::ALL {
            let packed = pack(&text, compression);
            assert_eq!(unpack(packed.clone(), compression, 100_000).expect("fits"), text);
            let error = unpack(packed.clone(), compression, 99_999).expect_err("too large");
            assert_eq!(error.to_string(), "it decompresses to more than the 99999 bytes announced");
            if compression != Compression::None {
                let cut = packed[..packed.len() - 10].to_vec();
                assert!(
                    matches!(unpack(cut, compression, 100_000), Err(UnpackError::Corrupt { .. })),
                    "{compression:?}"
                );
            }
        }
    }

    #[test]
    fn xz_that_needs_much_memory_is_rejected() {
        let mut packed = pack(b"x", Compression::Xz);
        // Block header (xz file format, 3.1): size, flags, filter 0x21 with one property byte,
        // padding, CRC32.
        let (header, end) = (12, 12 + 4 * usize::from(packed[12]) + 4);
        assert_eq!(&packed[header + 2..header + 4], b"\x21\x01");
        packed[header + 4] = 37; // a dictionary of 1.5 GiB
        let mut crc = flate2::Crc::new();
        crc.update(&packed[header..end - 4]);
        packed[end - 4..end].copy_from_slice(&crc.sum().to_le_bytes());
        let error = unpack(packed, Compression::Xz, 10).expect_err("refused").to_string();
        assert!(error.contains("memory"), "{error}");
    }
}
