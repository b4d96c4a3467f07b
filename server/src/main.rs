//! The `vetrina` binary: options in, exit code out. Everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    vetrina::cli::main()
}
