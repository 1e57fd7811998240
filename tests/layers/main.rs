//! The layers of a tree, each against a judge that is not kiln: packages against dpkg, which unpacks the same ones in the same order.

#[path = "../common/synthetic.rs"]
mod synthetic;
#[path = "../image/tools.rs"]
#[expect(dead_code, reason = "other tests read images")]
mod tools;
#[path = "../common/worker.rs"]
mod worker;

mod artifacts;
mod corner_cases;
mod dpkg;
mod listing;
mod opened;
mod real_packages;
