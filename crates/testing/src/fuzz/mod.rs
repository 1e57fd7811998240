//! Parsers fed with mutated samples.

mod harness;
mod mutator;

pub use harness::Fuzz;
