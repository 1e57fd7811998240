//! The rendered files of the shipped roles; the module `boot` boots them.

mod cni;
mod containerd;
use kiln_testing::suites as debian_root;
mod docker;
mod own;
mod rendered;
