//! The command line: what can be typed, and what is said back.

use std::process::ExitCode;

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    ExitCode::FAILURE
}
