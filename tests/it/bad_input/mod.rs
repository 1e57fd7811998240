//! Runs the built `kiln` on bad profiles, repositories, artifacts and environments, and checks the
//! one line it prints, its exit code, and that the output is unchanged.

#[allow(dead_code, clippy::unwrap_used)] // Shared with the test of signatures.
use kiln_testing::gnupg;
#[allow(dead_code)] // Shared with the test of the HTTP client.
use kiln_testing::server;
mod site;
use kiln_testing::synthetic;

mod artifacts;
mod attacks;
mod caches;
mod disks;
mod environments;
mod good;
mod hostile;
mod imports;
mod outputs;
mod packages;
mod processes;
mod profiles;
mod repositories;
mod secrets;
