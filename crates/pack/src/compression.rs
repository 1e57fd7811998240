//! Decompression of untrusted bytes, whose format is detected by their first bytes, with bounded
//! memory.

use liblzma::bufread::XzDecoder;
use liblzma::stream::{IGNORE_CHECK, MtStreamBuilder, Stream};
use std::io::{self, BufRead, Read};

/// The memory limit of an xz decoder: the largest preset (-9) needs 65 MiB, and packages do not
/// exceed it.
const XZ_MEMORY: u64 = 96 << 20;
/// The memory of a multi-threaded xz decoder, above which it uses fewer threads.
const XZ_THREADED_MEMORY: u64 = 84 << 20;
/// zstd windows up to 128 MiB (`--long`), as dpkg accepts.
const ZSTD_WINDOW_LOG: u32 = 27;

/// How bytes are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not compressed.
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// xz.
    Xz,
    /// Zstandard (RFC 8878).
    Zstd,
}

impl Compression {
    /// The compression whose magic number `start` begins with.
    pub fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// Decompresses `input` in whatever format it is compressed. With `threads` > 1, the blocks of an
/// xz stream are decoded in parallel.
///
/// The checksums of xz blocks are not verified by one thread, because every input has a SHA-256
/// that was; liblzma's builder of decoders with several threads has no such option.
///
/// # Errors
/// Errors of `input`; broken streams are errors of the returned reader.
pub fn decompress<'a>(mut input: impl BufRead + Send + 'a, threads: u32) -> io::Result<Box<dyn Read + Send + 'a>> {
    Ok(match Compression::of(input.fill_buf()?) {
        Compression::None => Box::new(input),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        Compression::Xz => {
            let stream = if threads > 1 {
                MtStreamBuilder::new()
                    .threads(threads)
                    .memlimit_threading(XZ_THREADED_MEMORY)
                    .memlimit_stop(XZ_MEMORY)
                    .decoder()
            } else {
                Stream::new_stream_decoder(XZ_MEMORY, IGNORE_CHECK)
            };
            Box::new(XzDecoder::new_stream(input, stream.map_err(io::Error::other)?))
        }
        Compression::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(input)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn every_compression_is_detected_and_decompressed() {
        let text = b"bounded and told by its first bytes".repeat(1000);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&text).expect("compressed");
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(&text).expect("compressed");
        let streams = [
            text.clone(),
            gzip.finish().expect("finished"),
            xz.finish().expect("finished"),
            zstd::encode_all(text.as_slice(), 1).expect("compressed"),
        ];
        for threads in [1, 4] {
            for stream in &streams {
                let mut out = Vec::new();
                decompress(stream.as_slice(), threads).expect("opened").read_to_end(&mut out).expect("read");
                assert_eq!(out, text);
            }
        }
        let cut = &streams[2][..streams[2].len() / 2];
        assert!(decompress(cut, 1).expect("opened").read_to_end(&mut Vec::new()).is_err());
    }
}
