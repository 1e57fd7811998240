//! Decompresses modules; the format is detected by the first bytes, as kmod does.

use super::module::ModuleError;
use std::borrow::Cow;
use std::io::Read;

/// The largest module, in bytes after decompression: amdgpu with debug information has half of
/// that.
const MAX_MODULE: u64 = 256 << 20;
/// The memory that a decoder may use, in bytes: the kernel's own xz has a dictionary of 2 MiB, `xz
/// -9` one of 64 MiB.
const MAX_DECODER: u64 = 128 << 20;
/// The same for zstd, as a power of two: at most that of `zstd -19 --long`.
const MAX_WINDOW_LOG: u32 = 27;

/// Returns the module itself, for any compression of its file.
pub(super) fn decompress(bytes: &[u8]) -> Result<Cow<'_, [u8]>, ModuleError> {
    decompress_within(bytes, MAX_MODULE)
}

fn decompress_within(bytes: &[u8], limit: u64) -> Result<Cow<'_, [u8]>, ModuleError> {
    let fail = |format| move |error: std::io::Error| ModuleError::Compressed { format, why: error.to_string() };
    if bytes.starts_with(b"\xfd7zXZ\0") {
        let fail = fail("xz");
        let stream = liblzma::stream::Stream::new_stream_decoder(MAX_DECODER, liblzma::stream::CONCATENATED)
            .map_err(|error| fail(error.into()))?;
        read_within(liblzma::bufread::XzDecoder::new_stream(bytes, stream), limit, fail).map(Cow::Owned)
    } else if bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        let fail = fail("zstd");
        let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(fail)?;
        decoder.window_log_max(MAX_WINDOW_LOG).map_err(fail)?;
        read_within(decoder, limit, fail).map(Cow::Owned)
    } else {
        Ok(Cow::Borrowed(bytes))
    }
}

fn read_within(
    reader: impl Read,
    limit: u64,
    fail: impl FnOnce(std::io::Error) -> ModuleError,
) -> Result<Vec<u8>, ModuleError> {
    let mut module = Vec::new();
    reader.take(limit + 1).read_to_end(&mut module).map_err(fail)?;
    if u64::try_from(module.len()).is_ok_and(|size| size <= limit) { Ok(module) } else { Err(ModuleError::TooLarge) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write as _;

    fn compressed(plain: &[u8]) -> [Vec<u8>; 2] {
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 6);
        xz.write_all(plain).expect("written");
        [xz.finish().expect("xz"), zstd::encode_all(plain, 3).expect("zstd")]
    }

    #[test]
    fn every_format_is_decompressed() {
        let plain = b"\x7fELF and so on".repeat(100);
        assert_eq!(decompress(&plain).expect("plain"), plain);
        for file in compressed(&plain) {
            assert_eq!(decompress(&file).expect("decompressed"), plain);
            let cut = &file[..file.len() - 5];
            assert!(matches!(decompress(cut), Err(ModuleError::Compressed { .. })), "a cut file is noticed");
        }
    }

    #[test]
    fn a_bomb_is_rejected_at_the_limit() {
        for file in compressed(&vec![0; 1 << 20]) {
            assert_eq!(decompress_within(&file, (1 << 20) - 1), Err(ModuleError::TooLarge));
            assert!(decompress_within(&file, 1 << 20).is_ok());
        }
    }

    proptest! {
        #[test]
        fn foreign_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..100, bits: u8) {
            for magic in [&b"\xfd7zXZ\0"[..], &[0x28, 0xb5, 0x2f, 0xfd]] {
                decompress_within(&[magic, &body].concat(), 1 << 16).ok();
            }
            for mut file in compressed(&body) {
                let at = at % file.len();
                file[at] ^= bits;
                decompress_within(&file, 1 << 16).ok();
            }
        }
    }
}
