//! The shipped roles, as rendered; `tests/boot` boots them.

mod cni;
mod containerd;
use kiln_testing::suites as debian_root;
mod docker;
mod own;
mod rendered;
