//! Code that tests of several crates share: it runs other programs and servers and makes packages
//! and keys. No shipped program depends on it.

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
