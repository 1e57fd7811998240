//! Configures the C library's allocator so that memory stays bounded.

/// Allocations from this size in bytes are separate mappings: larger than a copy buffer, smaller
/// than a block of xz.
const MAPPED_FROM: std::ffi::c_int = 1 << 20;

/// Makes glibc return large buffers to the kernel when they are freed.
///
/// By default, glibc raises its threshold when the first of them is freed: from then on it serves
/// everything up to that size (a block of xz has 24 MiB) from its arenas, one per thread, and does
/// not return memory freed there. A build on 16 threads then holds 370 MB instead of 200. Call this
/// function before other threads exist.
#[cfg(target_env = "gnu")]
#[allow(unsafe_code)]
pub(crate) fn return_large_buffers() {
    // SAFETY: mallopt(3) takes two numbers and keeps no pointer. When it fails, the default stays.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM) };
}

/// Other C libraries do not move the threshold.
#[cfg(not(target_env = "gnu"))]
pub fn return_large_buffers() {}
