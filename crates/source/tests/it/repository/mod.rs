//! Archives that are what they should be, and archives that are not. gpgv and gpg, other code than ours, make and judge the signatures.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod apt;
use kiln_testing::gnupg;
mod hostile;
mod mirror;
mod verdicts;
