//! What this crate makes and reads, judged by other programs. A module is a subject.

mod readers;
