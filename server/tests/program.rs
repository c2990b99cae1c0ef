//! The program itself, as it is installed; what it does is tried in `tests/`.

use std::process::Command;

#[test]
fn the_program_says_which_version_it_is() {
    let said = Command::new(env!("CARGO_BIN_EXE_headwater"))
        .arg("--version")
        .output()
        .expect("it runs");
    assert!(said.status.success());
    let said = String::from_utf8_lossy(&said.stdout);
    assert!(
        said.starts_with(concat!("headwater ", env!("CARGO_PKG_VERSION"))),
        "{said}"
    );
}
