//! The layers of a tree, compared with other programs: packages with dpkg, which unpacks the same
//! ones in the same order.

use crate::common::worker;
use kiln_testing::synthetic;
use kiln_testing::tools;

mod artifacts;
mod corner_cases;
mod dpkg;
mod listing;
mod opened;
mod real_packages;
