//! Tests with valid and invalid archives. gpg makes the signatures and gpgv verifies them.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod apt;
use kiln_testing::gnupg;
mod hostile;
mod mirror;
mod mutations;
mod verdicts;
