//! The shipped roles, as rendered and as booted.

mod rendered;
