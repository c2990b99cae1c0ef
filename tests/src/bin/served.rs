//! The service as a process that a test can kill:
//! `served URL DATA_DIR [--listen ADDRESS] [--allow-write] [--forge API_URL TOKEN_FILE]`.
//!
//! It listens on a free port of loopback unless told otherwise, which only a network of the test's own should be. Its
//! address is the first line on standard output. What is deliberately absent: everything that `headwater serve` reads
//! from files and the environment.

use std::process::ExitCode;
use std::time::Duration;

use headwater_server::process;
use headwater_server::settings::{Flags, load};
use headwater_tests::forge::gitea;

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the address goes to the test that started this"
)]
fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (Some(url), Some(data_dir)) = (args.next(), args.next()) else {
        eprintln!("usage: served URL DATA_DIR [OPTION]…");
        return ExitCode::from(2);
    };
    let (mut listen, mut may_write, mut forges) = (None, false, Vec::new());
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--listen" => listen = args.next(),
            "--allow-write" => may_write = true,
            "--forge" => {
                let (url, token_file) = (args.next(), args.next());
                forges.extend(url.zip(token_file).map(|(url, file)| gitea(url, file.into())));
            }
            other => {
                eprintln!("no such option: `{other}`");
                return ExitCode::from(2);
            }
        }
    }
    let is_reached_by_others = listen.is_some();
    let values = vec![
        ("--repo", "url", url),
        ("--data-dir", "data_dir", data_dir),
        (
            "--listen",
            "listen",
            listen.unwrap_or_else(|| "127.0.0.1:0".to_owned()),
        ),
        (
            "--insecure-no-auth",
            "insecure_no_auth",
            is_reached_by_others.to_string(),
        ),
        ("--allow-write", "allow_write", may_write.to_string()),
    ];
    let mut settings = match load(
        &Flags {
            values,
            ..Flags::default()
        },
        &[],
    ) {
        Ok(settings) => settings,
        Err(mistakes) => {
            for mistake in mistakes {
                eprintln!("{mistake}");
            }
            return ExitCode::from(2);
        }
    };
    settings.forges = forges;
    settings.fleet.heartbeat = Duration::from_secs(1);
    for repo in &mut settings.repos {
        repo.poll_interval = Duration::from_millis(40);
    }
    match process::serve(settings, || None, |addresses| println!("{}", addresses.main)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}: {}", error.hint());
            ExitCode::FAILURE
        }
    }
}
