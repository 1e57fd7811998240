//! The `kiln` command.

mod allocator;

use std::process::ExitCode;

fn main() -> ExitCode {
    allocator::return_large_buffers();
    kiln::cli::main()
}
