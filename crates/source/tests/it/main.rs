//! Tests of what this crate makes and reads, with other programs. There is one module for each
//! subject.

mod http;
mod repository;
mod resolve_vs_apt;
mod version_vs_dpkg;
