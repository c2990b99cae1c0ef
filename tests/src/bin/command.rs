//! The program `headwater`, as tests of the command line start it.

use std::process::ExitCode;

fn main() -> ExitCode {
    headwater_server::cli::main()
}
