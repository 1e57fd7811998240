//! zstd frames whose bytes do not depend on the machine.
//!
//! An initramfs is a sequence of such frames, each of which holds whole cpio members: the kernel
//! unpacks them one after another. It rejects a frame that ends inside a member, skippable frames,
//! and windows of 2 GiB.

use std::io::{self, Write};
use zstd::stream::raw::CParameter;
use zstd::stream::write::Encoder;

/// zstd's compression level: about 3 ms per megabyte on one core.
pub const LEVEL: i32 = 3;

/// Frames larger than this are compressed by several threads.
///
/// libzstd's multi-threaded frames differ from its single-threaded ones, but do not depend on the
/// number of threads. So only the size may decide which of the two is used.
pub const PARALLEL_FROM: u64 = 12 << 20;

/// The bytes that one thread compresses at a time in a multi-threaded frame. The value bounds
/// memory and affects the output bytes.
const JOB_SIZE: u32 = 4 << 20;

/// The most threads of a stream; each holds about 10 MiB.
const MAX_STREAM_THREADS: u32 = 6;

/// Starts a frame of `size` bytes on `out`. The header announces the size, so a short write is an
/// error.
///
/// # Errors
/// Fails when libzstd cannot allocate memory.
pub fn encoder<W: Write>(out: W, size: u64, threads: u32) -> io::Result<Encoder<'static, W>> {
    let mut encoder = Encoder::new(out, LEVEL)?;
    encoder.include_checksum(true)?;
    encoder.set_pledged_src_size(Some(size))?;
    encoder.include_contentsize(true)?;
    if size > PARALLEL_FROM {
        encoder.multithread(threads.max(1))?;
        encoder.set_parameter(CParameter::JobSize(JOB_SIZE))?;
    }
    Ok(encoder)
}

/// Starts a frame of any size on `out` that is always compressed by several threads.
///
/// # Errors
/// Fails when libzstd cannot allocate memory.
pub fn stream<W: Write>(out: W, threads: u32) -> io::Result<Encoder<'static, W>> {
    let mut encoder = Encoder::new(out, LEVEL)?;
    encoder.include_checksum(true)?;
    encoder.multithread(threads.clamp(1, MAX_STREAM_THREADS))?;
    encoder.set_parameter(CParameter::JobSize(JOB_SIZE))?;
    Ok(encoder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_do_not_depend_on_the_number_of_threads() {
        let data: Vec<u8> =
            (0..14u32 << 18).flat_map(|n| (n.wrapping_mul(2_654_435_761) >> 20).to_le_bytes()).collect();
        let frame = |threads| {
            let mut encoder = encoder(Vec::new(), data.len() as u64, threads).expect("an encoder");
            encoder.write_all(&data).expect("compressed");
            encoder.finish().expect("finished")
        };
        let one = frame(1);
        assert!(data.len() as u64 > PARALLEL_FROM);
        assert!(one == frame(2) && one == frame(5));
        assert_eq!(zstd::decode_all(one.as_slice()).expect("decoded"), data);
    }
}
