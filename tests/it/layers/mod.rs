//! The layers of a tree, each against a judge that is not kiln: packages against dpkg, which
//! unpacks the same ones in the same order.

use crate::common::worker;
use kiln_testing::synthetic;
use kiln_testing::tools;

mod artifacts;
mod corner_cases;
mod dpkg;
mod listing;
mod opened;
mod real_packages;
