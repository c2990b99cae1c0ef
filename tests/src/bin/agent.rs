//! The program `headwater-agent`, as tests start it.

use std::process::ExitCode;

fn main() -> ExitCode {
    headwater_client::agent::main()
}
