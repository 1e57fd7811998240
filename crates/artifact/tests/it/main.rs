//! Tests of what this crate makes and reads, with other programs. There is one module for each
//! subject.

mod formats;
mod root;
