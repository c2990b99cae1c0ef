//! Readers that have seen enough: a command that goes on for long ends with them, and not with the next event.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use headwater_tests::origin::TestOrigin;
use headwater_tests::server::TestServer;
use headwater_tests::wait::wait_for;

use crate::command::{WorkTree, program};

/// Reads one line of a command and goes away; gives the line and how the command ended.
fn first_line(command: &mut Command) -> (String, Option<i32>) {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut line = String::new();
    let mut reader = BufReader::new(child.stdout.take().expect("piped"));
    reader.read_line(&mut line).expect("a line");
    drop(reader);
    let status = wait_for("the end of the command", || child.try_wait().expect("a child"));
    (line, status.code())
}

#[test]
fn a_watch_of_configs_ends_with_its_reader() {
    let origin = TestOrigin::new();
    let tip = origin.commit(&[("app.json", Some("{}"))], "one");
    let server = TestServer::of(&origin);
    server.until_tip(&tip);
    let place = WorkTree::plain();
    let url = format!("http://{}", server.addr());
    let (line, code) = first_line(program(place.path()).args(["watch", "app", "--server", &url]));
    assert!(line.contains("app"), "{line}");
    assert_eq!(code, Some(0));
}

#[test]
fn a_watch_of_files_ends_with_its_reader() {
    let tree = WorkTree::with(&[("app.json", "{}")]);
    let (line, code) = first_line(program(tree.path()).args(["check", "--watch"]));
    assert!(line.starts_with("no findings"), "{line}");
    assert_eq!(code, Some(0));
}
