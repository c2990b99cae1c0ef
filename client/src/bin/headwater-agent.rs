//! The program `headwater-agent`; see [`headwater_client::agent`].

use std::process::ExitCode;

fn main() -> ExitCode {
    headwater_client::agent::main()
}
