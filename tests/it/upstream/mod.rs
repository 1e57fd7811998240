//! Releases as published upstream: files of dl.k8s.io and GitHub with their SHA-256, served by this
//! host.

mod archives;
mod bench;
use kiln_testing::suites as debian_root;
mod golden;
use crate::common::guest;
mod hub;
mod programs;
mod real;
mod refused;
mod release;
use kiln_testing::server;
mod shipped;
use crate::common::worker;
use kiln_testing::tools;
