use axum::http::StatusCode as Status;
use headwater_wire::RepoName;

use super::*;
use crate::store::Store;

fn data_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let repo: RepoName = "default".parse().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store
        .save_repo(&repo, &headwater_core::RepoState::default())
        .unwrap();
    dir
}

/// One run without a server before the command, with the directory taken out.
fn told(dir: &tempfile::TempDir, args: &[&str]) -> String {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let path = dir.path().display().to_string();
    let args = args.iter().map(|arg| OsString::from(arg.replace("DIR", &path)));
    let code = run(
        std::iter::once(OsString::from("headwater")).chain(args),
        &environment(),
        &mut out,
        &mut err,
    );
    let text = format!(
        "exit {code}\n{}{}",
        String::from_utf8(out).unwrap(),
        String::from_utf8(err).unwrap()
    );
    text.replace(&path, "DIR")
}

#[test]
fn a_backup_of_a_directory_comes_back_and_says_what_happens_next() {
    let dir = data_dir();
    let backup = told(&dir, &["backup", "DIR/copy", "--data-dir", "DIR"]);
    assert!(
        backup.starts_with("exit 0\n") && backup.ends_with(" bytes written to `DIR/copy`\n"),
        "{backup}"
    );
    insta::assert_snapshot!(told(&dir, &["restore", "DIR/copy", "--data-dir", "DIR"]), @r"
    exit 1
    error: there are decisions already: `DIR/decisions.redb`
    hint: name another --data-dir, or say --force: what is there is kept beside it
    ");
    insta::assert_snapshot!(told(&dir, &["restore", "DIR/copy", "--data-dir", "DIR", "--force"]), @r"
    exit 0
    restored the decisions of default, as of 2027-01-15T08:00:00.000Z
    what was there before is now `DIR/decisions.redb.replaced`

    when the service starts:
      every number begins above all that were given out, so instances take what they are told
      rollouts that were moving when the copy was made go back to what was stable
      rollbacks, acceptances and releases since then must be repeated
    ");
    insta::assert_snapshot!(told(&dir, &["restore", "DIR/copy", "--data-dir", "DIR/new"]), @r"
    exit 0
    restored the decisions of default, as of 2027-01-15T08:00:00.000Z

    when the service starts:
      every number begins above all that were given out, so instances take what they are told
      rollouts that were moving when the copy was made go back to what was stable
      rollbacks, acceptances and releases since then must be repeated
    ");
}

#[test]
fn what_cannot_be_copied_or_put_back_is_told_with_what_to_do() {
    let dir = data_dir();
    std::fs::write(dir.path().join("none"), "{}\n").unwrap();
    insta::assert_snapshot!(told(&dir, &["restore", "DIR/none", "--data-dir", "DIR/new"]), @r"
    exit 1
    error: this is no whole backup: it is empty
    hint: take another copy; `headwater backup` writes one that can be checked
    ");
    insta::assert_snapshot!(told(&dir, &["restore", "DIR/missing", "--data-dir", "DIR/new"]), @r"
    exit 2
    error: cannot read `DIR/missing`
    cause: No such file or directory (os error 2)
    hint: check the path and its permissions
    ");
    insta::assert_snapshot!(told(&dir, &["backup", "DIR/copy", "--data-dir", "DIR/new"]), @r"
    exit 1
    error: cannot use `DIR/new/decisions.redb`
    cause: No such file or directory (os error 2)
    hint: check that the file is there, and that this user may read or write it
    ");
    let _running = Store::open(dir.path()).unwrap();
    insta::assert_snapshot!(told(&dir, &["backup", "DIR/copy", "--data-dir", "DIR"]), @r"
    exit 1
    error: `DIR/decisions.redb` is in use by another process
    hint: a running service has it: `headwater backup FILE` asks the service, and a restore needs it stopped
    ");
}

#[test]
fn a_running_service_is_asked_for_its_backup() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("copy");
    let store = Store::open(dir.path()).unwrap();
    let copy = store.backup(Timestamp(0)).unwrap();
    let sent = copy.clone();
    let server =
        serve(Router::new().route("/v1/admin/backup", get(move || async move { (Status::OK, sent) })));
    let told = headwater(&server, &["backup", &file.display().to_string()]);
    assert_eq!(
        told.replace(&dir.path().display().to_string(), "DIR"),
        format!("exit 0\n{} bytes written to `DIR/copy`\n", copy.len())
    );
    assert_eq!(std::fs::read(&file).unwrap(), copy);
}

#[test]
fn what_somebody_else_answers_in_its_place_is_no_backup() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("copy");
    std::fs::write(&file, "the good one").unwrap();
    let server = serve(Router::new().route("/v1/admin/backup", get(|| async { (Status::OK, "busy\n") })));
    insta::assert_snapshot!(headwater(&server, &["backup", &file.display().to_string()]), @"
    exit 1
    --- standard error
    error: this is no whole backup: it is empty
    hint: take another copy; `headwater backup` writes one that can be checked
    ");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "the good one");
}
