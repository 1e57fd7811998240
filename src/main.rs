//! The `kiln` command.

mod allocator;

use std::process::ExitCode;

fn main() -> ExitCode {
    allocator::give_large_buffers_back();
    kiln::cli::main()
}
