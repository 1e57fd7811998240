//! Pure byte writers: plain values in, bytes and typed errors out.
//!
//! Nothing here knows profiles, the network, the clock or the environment.

pub mod block;
pub mod cpio;
pub mod fat;
pub mod frames;
pub mod gpt;
pub mod guid;
pub mod pe;
