//! Runs parsers on mutated samples.

mod harness;
mod mutator;

pub use harness::Fuzz;
