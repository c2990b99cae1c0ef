//! The `headwater` program; everything is in `cli/`.

use std::process::ExitCode;

fn main() -> ExitCode {
    headwater_server::cli::main()
}
