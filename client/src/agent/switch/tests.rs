use std::fs;
use std::path::PathBuf;

use serde_json::json;

use super::*;
use crate::agent::files::{Access, Directory, Layout};
use crate::agent::signal::NamedSignal;
use headwater_render::Format;

pub(crate) fn change(config: &str, version: char, document: Value) -> Change {
    Change {
        config: config.parse().unwrap(),
        version: version.to_string().repeat(40).parse().unwrap(),
        digest: headwater_render::digest(&headwater_render::canonical(&document)),
        source: ValueSource::Server,
        document: Arc::new(document),
    }
}

struct Bench {
    _dir: tempfile::TempDir,
    root: PathBuf,
    log: PathBuf,
    state_dir: PathBuf,
    check: Option<String>,
    on_change: Option<String>,
    pid_file: Option<PidFile>,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let (root, log, state_dir) = (path("config"), path("log"), path("state"));
        fs::create_dir(&state_dir).unwrap();
        Self {
            _dir: dir,
            root,
            log,
            state_dir,
            check: None,
            on_change: None,
            pid_file: None,
        }
    }

    /// A command that also writes a line to the log.
    fn logged(&self, line: &str, command: &str) -> String {
        format!("echo \"{line}\" >>{}; {command}", self.log.display())
    }

    fn start(&self) -> (Switcher, watch::Receiver<Arc<Board>>) {
        let configs: Vec<ConfigName> = ["a", "b/c"].map(|name| name.parse().unwrap()).to_vec();
        let layout = Layout::new(&configs, "json").unwrap();
        let directory = Directory::open(&self.root, layout, Access::new(None, None)).unwrap();
        let hook = |option, command: &Option<String>| {
            command.clone().map(|command| Hook {
                option,
                command,
                deadline: Duration::from_secs(30),
            })
        };
        let spec = SwitchSpec {
            configs: configs.into_iter().collect(),
            format: FileFormat::Document(Format::Json),
            check: hook("--check", &self.check),
            notify: Notify {
                on_change: hook("--on-change", &self.on_change),
                pid_file: self.pid_file.clone(),
                program: None,
            },
            on_the_way: Arc::new(BTreeSet::new),
            state_dir: self.state_dir.clone(),
        };
        start(spec, Target::Directory(directory)).unwrap()
    }

    fn file(&self, name: &str) -> Option<Value> {
        let text = fs::read_to_string(self.root.join(name)).ok()?;
        Some(serde_json::from_str(&text).unwrap())
    }

    fn log(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let root = self.root.canonicalize().unwrap();
        text.replace(&root.display().to_string(), "[dir]")
    }
}

async fn use_both(switcher: &Switcher, version: char, document: &Value) -> [Result<(), Refusal>; 2] {
    let (a, c) = (
        change("a", version, document.clone()),
        change("b/c", version, document.clone()),
    );
    let (one, two) = tokio::join!(switcher.prepare(a.clone()), switcher.prepare(c.clone()));
    if one.is_err() || two.is_err() {
        return [one, two];
    }
    let (one, two) = tokio::join!(switcher.activate(a), switcher.activate(c));
    [one, two]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_together_is_switched_together_and_told_once() {
    let mut bench = Bench::new();
    bench.on_change = Some(bench.logged(
        "$HEADWATER_CONFIG at $HEADWATER_VERSION in $HEADWATER_DIR: $HEADWATER_FILE",
        "",
    ));
    let (switcher, board) = bench.start();
    assert_eq!(use_both(&switcher, '1', &json!({"v": 1})).await, [Ok(()), Ok(())]);
    insta::assert_snapshot!(bench.log(), @"a b/c at 1111111111111111111111111111111111111111 in [dir]: [dir]/a.json");
    assert_eq!(bench.file("a.json"), Some(json!({"v": 1})));
    assert_eq!(bench.file("b/c.json"), Some(json!({"v": 1})));
    assert_eq!(board.borrow().iter().count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_sees_a_version_that_nobody_else_sees() {
    let mut bench = Bench::new();
    bench.check = Some(format!(
        "grep -q good \"$HEADWATER_FILE\" && test ! -e {0}/a.json && test -e \"$HEADWATER_DIR/a.json\"",
        bench.root.display()
    ));
    let (switcher, _board) = bench.start();
    switcher.prepare(change("a", '1', json!("good"))).await.unwrap();
    let refusal = switcher
        .prepare(change("a", '2', json!("bad")))
        .await
        .unwrap_err();
    insta::assert_snapshot!(refusal.message, @"`--check` ended with exit code 1");
    assert_eq!(bench.file("a.json"), None);
    let left = fs::read_dir(&bench.root).unwrap().count();
    assert_eq!(left, 1, "only the lock is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_refused_does_not_take_the_others_with_it() {
    let mut bench = Bench::new();
    bench.check = Some(bench.logged("$HEADWATER_CONFIG", "! grep -q bad \"$HEADWATER_FILE\""));
    let (switcher, _board) = bench.start();
    let (bad, good) = tokio::join!(
        switcher.prepare(change("a", '1', json!("bad"))),
        switcher.prepare(change("b/c", '1', json!("good")))
    );
    assert!(bad.is_err());
    assert_eq!(good, Ok(()));
    // The good one was checked a second time, without its companion.
    assert_eq!(bench.log(), "a\nb/c\nb/c\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_fails_brings_the_old_files_back_and_runs_for_them() {
    let mut bench = Bench::new();
    let command = "if grep -q bad \"$HEADWATER_FILE\"; then echo cannot load >&2; exit 1; fi";
    bench.on_change = Some(bench.logged("$HEADWATER_VERSION", command));
    let (switcher, board) = bench.start();
    assert_eq!(use_both(&switcher, '1', &json!("good")).await, [Ok(()), Ok(())]);
    let [one, two] = use_both(&switcher, '2', &json!("bad")).await;
    assert_eq!(one, two);
    insta::assert_snapshot!(one.unwrap_err().message, @"`--on-change` ended with exit code 1: cannot load");
    assert_eq!(bench.file("a.json"), Some(json!("good")));
    assert_eq!(bench.file("b/c.json"), Some(json!("good")));
    let versions: Vec<char> = bench
        .log()
        .lines()
        .filter_map(|line| line.chars().next())
        .collect();
    assert_eq!(versions, ['1', '2', '1']);
    assert!(
        board
            .borrow()
            .iter()
            .all(|change| change.version.short() == "1111111111")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_command_that_fails_leaves_no_files() {
    let mut bench = Bench::new();
    bench.on_change = Some("exit 1".to_owned());
    let (switcher, _board) = bench.start();
    assert!(switcher.activate(change("a", '1', json!(1))).await.is_err());
    assert_eq!(bench.file("a.json"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_agent_repeats_nothing_that_was_done() {
    let mut bench = Bench::new();
    bench.on_change = Some(bench.logged("told", ""));
    for version in ['1', '1', '2'] {
        let (switcher, board) = bench.start();
        assert_eq!(
            use_both(&switcher, version, &json!(version.to_string())).await,
            [Ok(()), Ok(())]
        );
        stop(switcher, board).await;
    }
    assert_eq!(bench.log(), "told\ntold\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_the_command_does_not_lose_it() {
    let mut bench = Bench::new();
    let (switcher, board) = bench.start();
    assert_eq!(use_both(&switcher, '1', &json!(1)).await, [Ok(()), Ok(())]);
    stop(switcher, board).await;
    // As if it had been killed between the switch and the note that everybody was told.
    for entry in fs::read_dir(&bench.state_dir).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    bench.on_change = Some(bench.logged("told", ""));
    let (switcher, _board) = bench.start();
    assert_eq!(use_both(&switcher, '1', &json!(1)).await, [Ok(()), Ok(())]);
    assert_eq!(bench.log(), "told\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_that_comes_alone_keeps_the_files_of_the_others() {
    let bench = Bench::new();
    let (switcher, board) = bench.start();
    assert_eq!(use_both(&switcher, '1', &json!(1)).await, [Ok(()), Ok(())]);
    stop(switcher, board).await;
    let (switcher, _board) = bench.start();
    switcher.activate(change("a", '2', json!(2))).await.unwrap();
    assert_eq!(bench.file("a.json"), Some(json!(2)));
    assert_eq!(bench.file("b/c.json"), Some(json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_is_signalled_by_its_file() {
    let mut bench = Bench::new();
    let pid_path = bench.root.with_file_name("pid");
    bench.pid_file = Some(PidFile {
        path: pid_path.clone(),
        signal: NamedSignal::HUP,
    });
    let (switcher, _board) = bench.start();
    // Nobody runs yet: the files are there when the program starts.
    switcher.activate(change("a", '1', json!(1))).await.unwrap();
    let mut program = tokio::process::Command::new("sleep").arg("1000").spawn().unwrap();
    fs::write(&pid_path, format!("{}\n", program.id().unwrap())).unwrap();
    switcher.activate(change("a", '2', json!(2))).await.unwrap();
    let status = program.wait().await.unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_the_format_cannot_hold_is_refused() {
    let bench = Bench::new();
    let (switcher, _board) = bench.start();
    let refusal = switcher
        .prepare(change("a", '1', json!({"big": u64::MAX})))
        .await
        .unwrap_err();
    insta::assert_snapshot!(refusal.message, @"integer does not fit 64 bits, at `/big`");
}

/// Ends the task and waits until it has let go of the directory.
async fn stop(switcher: Switcher, mut board: watch::Receiver<Arc<Board>>) {
    drop(switcher);
    while board.changed().await.is_ok() {}
}
