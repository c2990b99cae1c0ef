//! A verdict process that misbehaves once it is confined, in the way that the files it is given name.
//!
//! It says that they are admitted if it got away with it, so that a test which expects a refusal fails. What may not
//! succeed quietly either (reading a file) admits only where it was refused.

use std::hint::black_box;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::thread;

use headwater_server::sandbox;
use headwater_wire::{CheckView, VerdictState};

/// Larger than the stack that verdicts have.
const STACK_BYTES: usize = 32 << 20;
const CHUNK_BYTES: usize = 16 << 20;

fn main() -> ExitCode {
    sandbox::child_that(misbehave)
}

fn misbehave() -> io::Result<()> {
    let mut input = Vec::new();
    io::stdin().read_to_end(&mut input)?;
    let input = String::from_utf8_lossy(&input).into_owned();
    let named = input.split("misdeed = \"").nth(1);
    commit(named.and_then(|rest| rest.split('"').next()).unwrap_or("none"))?;
    let view = CheckView {
        version: 1,
        verdict: VerdictState::Admitted,
        findings: Vec::new(),
    };
    serde_json::to_writer(io::stdout().lock(), &view)?;
    io::stdout().flush()
}

#[expect(clippy::panic, reason = "that is one of the misdeeds")]
fn commit(misdeed: &str) -> io::Result<()> {
    match misdeed {
        "read a file" => match std::fs::read("/proc/sys/kernel/hostname") {
            Ok(_) => Err(io::ErrorKind::Other.into()),
            Err(_) => Ok(()),
        },
        "write a file" => std::fs::write("/dev/null", "x"),
        "connect" => TcpStream::connect((Ipv4Addr::LOCALHOST, 9)).map(drop),
        "start a program" => Command::new("/bin/true").status().map(drop),
        "become a program" => Err(Command::new("/bin/true").exec()),
        "signal a process" => Ok(rustix::process::test_kill_process(rustix::process::Pid::INIT)?),
        "hoard memory" => {
            let mut hoard = Vec::new();
            loop {
                hoard.push(vec![1_u8; CHUNK_BYTES]);
                black_box(&hoard);
            }
        }
        "spin" => loop {
            black_box(());
        },
        "go too deep" => {
            black_box(deeper(0));
            Ok(())
        }
        "panic" => panic!("as the files ask for"),
        "start threads" => start_threads(),
        _ => Ok(()),
    }
}

fn deeper(depth: u64) -> u64 {
    let here = black_box([depth; 64]);
    if black_box(true) {
        deeper(depth + 1) + here[0]
    } else {
        depth
    }
}

/// What an engine of expressions may do: a thread with a large stack of its own, which takes memory and gives it back,
/// and one that panics.
fn start_threads() -> io::Result<()> {
    let work = || {
        let pieces: Vec<Vec<u8>> = (1..2_000).map(|n| vec![1; n * 8]).collect();
        pieces.iter().map(Vec::len).sum::<usize>()
    };
    let builder = || {
        thread::Builder::new()
            .name("engine".to_owned())
            .stack_size(STACK_BYTES)
    };
    let threads = [builder().spawn(work)?, builder().spawn(work)?];
    for thread in threads {
        thread.join().map_err(|_| io::ErrorKind::Other)?;
    }
    #[expect(clippy::panic, reason = "it is caught")]
    let panicking = builder().spawn(|| panic!("caught"))?;
    if panicking.join().is_ok() {
        return Err(io::ErrorKind::Other.into());
    }
    // Not to wait for anything: an engine may pause its threads, so the system call for it must pass the filter.
    thread::sleep(std::time::Duration::from_millis(1));
    Ok(())
}
