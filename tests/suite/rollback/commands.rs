//! `headwater rollback`, `holds` and `release`, as a person runs them.

use headwater_tests::scrub::scrub;

use super::*;
use crate::command::headwater;

/// What a command says, with the id of the newest rollback as `ID`.
pub(super) fn said(server: &TestServer, args: &[&str]) -> String {
    let (url, place) = (format!("http://{}", server.addr()), tempfile::tempdir().unwrap());
    let said = headwater(place.path(), &[args, &["--server", &url]].concat());
    let list = server.get(ROLLBACKS).json();
    let id = text(&list["rollbacks"][0]["id"]).to_owned();
    let said = if id.is_empty() {
        said
    } else {
        said.replace(&id, "ID")
    };
    // A slow machine needs a while from one command to the next.
    let said = (1..60).fold(said, |said, seconds| {
        said.replace(&format!(" {seconds} s ago"), " just now")
    });
    scrub(&said)
}

const BACK: [&str; 7] = [
    "rollback",
    "--to",
    "HEAD~3",
    "--reason",
    "it broke",
    "--requested-by",
    "Ada <ada@example.test>",
];

/// What the command says once Git has answered; said again, it is the same rollback.
fn back(server: &TestServer) -> String {
    wait_for("an answer of Git's", || {
        Some(said(server, &BACK)).filter(|told| !told.contains(UNHEARD))
    })
}

#[test]
fn one_command_goes_back_and_says_where_it_stands() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 4);
    let server = writing(&origin).start();
    server.until_tip(&commits[3]);
    let first = back(&server);
    insta::assert_snapshot!(first, @"
    exit 0
    rollback ID  in effect as [commit 1]
      to     [commit 2]  v = 1
      as of  just now
      git    on the branch as [commit 1]
    ");
    assert_eq!(tree(&origin, "main"), tree(&origin, commits[0].as_str()));
    assert_eq!(back(&server), first);
    assert_eq!(length(&origin), 5);
    insta::assert_snapshot!(said(&server, &["holds"]), @"
    exit 0
    nothing is held back
    ");
    insta::assert_snapshot!(said(&server, &["rollback", "--to", "HEAD", "--reason", "again"]), @"
    exit 1
    --- standard error
    error: nothing to do: `[commit 1]` has that content already
    hint: nothing; if clients hold other content, look at `headwater status`
    ");
}

#[test]
fn what_is_held_back_is_shown_and_released() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 4);
    let server = writing(&origin).start();
    server.until_tip(&commits[3]);
    refuse_pushes(&origin);
    insta::assert_snapshot!(back(&server), @"
    exit 0
    rollback ID  in effect as [commit 1]
      to     [commit 2]  v = 1
      as of  just now
      git    not there yet
      why    cannot push to `refs/heads/main`, a hook of the upstream refused: pre-receive hook declined: closed for the night
      hint   do what the hook says, or ask its owner to let the service through
      holds  app
    ");
    insta::assert_snapshot!(said(&server, &["holds"]), @"
    exit 0
    ID  rollback, just now
      head     [commit 1]
      configs  app
      reason   it broke
      hint     it ends with a commit of other content; to expose what is held back, run `headwater release ID --reason …`
    ");
    let status = said(&server, &["status"]);
    let (_, told) = status.split_once("  error").unwrap();
    insta::assert_snapshot!(told.trim_start(), @"
    rollback ID holds 1 config at earlier content: it broke; rollback ID is not in Git yet: cannot push to `refs/heads/main`, a hook of the upstream refused: pre-receive hook declined: closed for the night
      hint     `headwater holds` tells what is held back, why, and how that ends; do what the hook says, or ask its owner to let the service through
    ");
    let list = server.get(ROLLBACKS).json();
    let id = text(&list["rollbacks"][0]["id"]);
    insta::assert_snapshot!(said(&server, &["release", id, "--reason", "it was the network"]), @"
    exit 0
    released ID
    nothing is held back
    ");
}

#[test]
fn a_service_that_only_reads_says_how_to_go_back_all_the_same() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 4);
    let server = TestServer::of(&origin);
    server.until_tip(&commits[3]);
    insta::assert_snapshot!(back(&server), @"
    exit 1
    --- standard error
    error: this service only reads the upstream
    hint: start it with `--allow-write`, or revert by a commit of your own
    ");
}
