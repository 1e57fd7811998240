//! The C library's allocator, told to keep memory bounded.

/// Allocations from this size are mappings of their own, in bytes: larger than a copy buffer, smaller than a block of xz.
const MAPPED_FROM: std::ffi::c_int = 1 << 20;

/// Makes glibc return large buffers to the kernel when they are freed.
///
/// By default it does so only until the first of them is freed: from then on it serves everything up to that size (a block of xz
/// has 24 MiB) from its arenas, one per thread, and what was freed there stays. A build on 16 threads then holds 370 MB instead
/// of 200. Call it before there are other threads.
#[cfg(target_env = "gnu")]
#[allow(unsafe_code)]
pub(crate) fn give_large_buffers_back() {
    // SAFETY: mallopt(3) takes two numbers and keeps no pointer. It may refuse, and the default stays.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM) };
}

/// Other C libraries have no such habit.
#[cfg(not(target_env = "gnu"))]
pub fn give_large_buffers_back() {}
