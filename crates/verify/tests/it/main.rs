//! Tests of what this crate reads, with images made by other programs. There is one module for each
//! subject.

mod readers;
