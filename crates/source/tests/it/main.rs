//! What this crate makes and reads, judged by other programs. A module is a subject.

mod http;
mod repository;
mod resolve_vs_apt;
mod version_vs_dpkg;
