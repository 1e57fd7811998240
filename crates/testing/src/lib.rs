//! What tests of several crates share: foreign programs, servers, packages and keys made for a test. Nothing that is shipped depends on it.

pub mod debian_root;
pub mod fuzz;
pub mod gnupg;
pub mod judge;
pub mod namespace;
pub mod responder;
pub mod server;
pub mod suites;
pub mod synthetic;
pub mod tools;
