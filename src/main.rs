//! The binary; it only enters the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    goldenpath::cli::main()
}
