use clap::{CommandFactory, Parser};

use headwater_render::Format;

use super::*;
use crate::agent::supervise::OnChange;

fn environment() -> Environment {
    Environment {
        host_name: "web-1".to_owned(),
        home: Some("/home/app".into()),
        ..Environment::default()
    }
}

fn read(args: &[&str]) -> Result<Settings, Vec<Mistake>> {
    let args = std::iter::once("headwater-agent").chain(args.iter().copied());
    settings(&Options::try_parse_from(args).unwrap(), &environment())
}

fn mistakes(args: &[&str]) -> String {
    let mistakes = read(args).unwrap_err();
    let lines: Vec<String> = mistakes.iter().map(Mistake::to_string).collect();
    lines.join("\n")
}

#[test]
fn the_flags_are_well_formed() {
    Options::command().debug_assert();
}

#[test]
fn little_is_enough() {
    let settings = read(&["--config", "payments/prod", "--dir", "/etc/app"]).unwrap();
    assert_eq!(settings.servers, ["http://127.0.0.1:7171"]);
    assert_eq!(settings.instance.as_str(), "web-1");
    assert_eq!(
        settings.cache_dir,
        Path::new("/home/app/.local/state/headwater-agent")
    );
    assert_eq!(settings.format, FileFormat::Document(Format::Json));
    assert_eq!(settings.stay, Stay::UntilStopped);
}

#[test]
fn all_mistakes_are_told_together_with_what_to_do() {
    let told = mistakes(&[
        "--server",
        "config:7171",
        "--repo",
        "NO",
        "--instance",
        "a b",
        "--label",
        "region",
        "--config",
        "/etc",
        "--dir",
        "/a",
        "--file",
        "/b",
        "--format",
        "xml",
        "--mode",
        "0777",
        "--owner",
        "nobody-here",
        "--check",
        " ",
        "--signal",
        "KILL",
        "--probation",
        "10",
        "--listen",
        "0.0.0.0:7172",
        "--transport",
        "pigeon",
        "--log-level",
        "loud",
    ]);
    insta::assert_snapshot!(told, @"
    `--server`: not an `http://` or `https://` address: `config:7171`
      hint: write it like `http://127.0.0.1:7171` or `https://config.example.org`
    `--repo` cannot be `NO`: not a repository name: `NO`
      hint: it is the name of a repository of the server, such as `default`
    `--instance` cannot be `a b`: not an instance id: `a b`
      hint: use letters, digits, `.`, `_`, `:` and `-`, at most 128 of them, and not `.` or `..`
    `--label` cannot be `region`
      hint: a label is written `KEY=VALUE`
    `--transport` cannot be `pigeon`: not one of auto, socket
      hint: leave it out unless one connection must carry everything
    `--config` cannot be `/etc`: not a config name: `/etc`
      hint: a name is a path such as `payments/prod`
    `--format` cannot be `xml`: not one of toml, json, yaml, env, properties
      hint: the format of the files
    `--dir` and `--file` are both given
      hint: choose one of them
    `--mode` cannot be `0777`: a config file is read and written, not run
      hint: write it as for `chmod`, such as 0640
    `--owner` cannot be `nobody-here`: there is no user `nobody-here` in /etc/passwd
      hint: names or numbers, such as `app:app`
    `--check` is empty
      hint: leave it out, or give a command
    `--signal` has nobody to go to
      hint: name the process with `--pid-file`, or the program after `--`
    `--probation` cannot be `10`: not a time such as 500ms, 10s or 5m
      hint: write a number and a unit, such as 500ms, 10s or 5m
    `--listen 0.0.0.0:7172` could be reached by other machines, and asks for no password
      hint: use `127.0.0.1`, or add `--insecure-listen` if the network is yours alone
    `--log-level` cannot be `loud`: not one of error, warn, info, debug
      hint:
    ");
}

#[test]
fn what_does_not_fit_together_is_told() {
    insta::assert_snapshot!(mistakes(&["--config", "a"]), @"
    there is nowhere to write to
      hint: name a directory with `--dir`, or a file with `--file`
    ");
    insta::assert_snapshot!(mistakes(&["--config", "a", "--config", "b", "--file", "/x"]), @"
    `--file` holds one config, and several are named
      hint: use `--dir`, which switches all of them together
    ");
    insta::assert_snapshot!(mistakes(&["--config", "a", "--config", "a.json/b", "--dir", "/x"]), @"
    `a` would be a file, and a directory that `a.json/b` needs
      hint: give each to an agent and a directory of its own
    ");
    insta::assert_snapshot!(
        mistakes(&["--config", "a", "--dir", "/x", "--signal", "HUP", "--pid-file", "/p", "--once", "--", "app"]), @"
    `--pid-file` and a program are both given
      hint: leave out `--pid-file`: the agent knows the process it started
    a program and `--once` are both given
      hint: leave one of them out
    ");
    insta::assert_snapshot!(mistakes(&["--config", "a", "--listen", "127.0.0.1:1", "--check", "x"]), @"
    `--check` is about files, and none are written
      hint: add `--dir` or `--file`
    ");
    insta::assert_snapshot!(mistakes(&["--dir", "/x"]), @"
    no config is named
      hint: name one with `--config payments/prod`; GET /v1/repos/default/configs lists them
    ");
}

#[test]
fn every_time_has_a_unit_whatever_else_is_said() {
    for flag in ["--command-timeout", "--stop-grace", "--probation", "--timeout"] {
        for mode in [&["--once"][..], &["--", "app"], &[]] {
            let read_with = |time: &'static str| {
                let args = ["--config", "a", "--dir", "/x", flag, time];
                read(&[&args[..], mode].concat())
            };
            assert!(read_with("0s").is_ok(), "{flag} {mode:?}");
            for bare in ["0", "5"] {
                let mistakes = read_with(bare).unwrap_err();
                assert_eq!(mistakes.len(), 1, "{flag} {mode:?}: {mistakes:?}");
                assert!(
                    mistakes[0].message.contains("not a time such as"),
                    "{flag}: {mistakes:?}"
                );
            }
        }
    }
}

#[test]
fn a_file_says_its_format_by_its_name() {
    for (file, format) in [
        ("/x/app.toml", FileFormat::Document(Format::Toml)),
        ("/x/app.yml", FileFormat::Document(Format::Yaml)),
        ("/x/app.properties", FileFormat::Properties),
        ("/x/app.conf", FileFormat::Document(Format::Json)),
    ] {
        assert_eq!(read(&["--config", "a", "--file", file]).unwrap().format, format);
    }
}

#[test]
fn a_signal_is_for_the_program_where_there_is_one() {
    let settings = read(&[
        "--config", "a", "--dir", "/x", "--signal", "USR1", "--", "app", "--flag",
    ])
    .unwrap();
    let program = settings.program.unwrap();
    assert_eq!(program.on_change, OnChange::Signal("USR1".parse().unwrap()));
    assert_eq!(program.args, ["--flag"]);
    assert_eq!(settings.pid_file, None);
}

#[test]
fn no_secret_is_ever_printed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    fs::write(&file, "hunter2\n").unwrap();
    let args = [
        "--config",
        "a",
        "--dir",
        "/x",
        "--token-file",
        file.to_str().unwrap(),
    ];
    assert!(!format!("{:?}", read(&args).unwrap()).contains("hunter2"));
    fs::write(&file, "hunter2 hunter2").unwrap();
    assert!(!mistakes(&args).contains("hunter2"));
    assert!(
        !mistakes(&[
            "--config",
            "a",
            "--dir",
            "/x",
            "--server",
            "http://me:hunter2@host"
        ])
        .contains("hunter2")
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is the help")]
fn the_help_teaches() {
    let help = Options::command().term_width(100).render_long_help().to_string();
    insta::assert_snapshot!(help, @r#"
    Keeps the configs of a program on its machine: files, a command on change, a local HTTP address

    The files of one version are switched together, so that a reader never sees half. A version that
    fails its check or its command is refused and reported, and the one before stays. While the server
    is away, the last known good one is used, also after a restart.

    Usage: headwater-agent [OPTIONS] [-- <PROGRAM>...]

    Options:
      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

    Server:
          --server <URL>
              Address of a server; several are tried in turn [default: http://127.0.0.1:7171]
              
              [env: HEADWATER_SERVER=]

          --repo <NAME>
              Repository
              
              [env: HEADWATER_AGENT_REPO=]
              [default: default]

          --token-file <FILE>
              File that holds the token, instead of the variable `HEADWATER_TOKEN`

          --ca-file <FILE>
              PEM file of the authorities to trust, instead of those of the system

          --client-cert <FILE>
              PEM file of a certificate to show to the server, and of its key if `--client-key` names no
              other

          --client-key <FILE>
              PEM file of the key of `--client-cert`

          --transport <KIND>
              How changes are heard of: `auto` or `socket` (one WebSocket for everything)
              
              [default: auto]

          --instance <ID>
              Name of this instance, unique among all [default: the name of this machine]
              
              [env: HEADWATER_INSTANCE=]

          --label <KEY=VALUE>
              Label of this instance, which chooses variants and stages; may be repeated

    Files:
          --config <NAME>
              Config to keep; may be repeated

          --dir <DIR>
              Directory for a file per config, which are switched together

          --file <PATH>
              File for the only config, replaced by a rename

          --format <FORMAT>
              `toml`, `json`, `yaml`, `env` or `properties` [default: by the name of --file, else json]

          --env-prefix <PREFIX>
              Put before each name of an env file

          --mode <OCTAL>
              Mode of the files [default: 0644]

          --owner <OWNER>
              Owner of the files: `USER`, `USER:GROUP` or `:GROUP`

    Programs:
          --check <CMD>
              Command that judges a new version before it is used; it refuses with an exit code other
              than 0

          --on-change <CMD>
              Command to run after each change; if it fails, the version before comes back

          --command-timeout <TIME>
              Longest run of a command
              
              [default: 60s]

          --signal <NAME>
              Signal to send after each change, to the process of --pid-file or to PROGRAM

          --pid-file <FILE>
              File that holds the id of the process to signal

          --on-change-program <POLICY>
              What PROGRAM gets after a change: `restart`, `signal` or `nothing` [default: restart, or
              signal if --signal is given]

          --stop-grace <TIME>
              How long PROGRAM may take to end before it is killed
              
              [default: 10s]

          --probation <TIME>
              How long a new version must be in use before it counts as good; a PROGRAM that dies within
              is started again, the third time with the last known good version [default: 60s with
              PROGRAM, else 5s]

      [PROGRAM]...
              Program to run once its files are there

    Run:
          --once
              Write the files once and exit

          --timeout <TIME>
              How long --once waits for a server that does not answer; what is on disk is taken sooner
              if it refuses the connection
              
              [default: 30s]

          --listen <ADDR>
              Local address to answer programs at, such as `127.0.0.1:7172`

          --insecure-listen
              Let --listen be an address that other machines reach, without any password

          --cache-dir <DIR>
              Directory that keeps the last known good versions [default: `STATE_DIRECTORY`,
              /var/lib/headwater-agent for root, else ~/.local/state/headwater-agent]
              
              [env: HEADWATER_CACHE_DIR=]

          --log-format <FORMAT>
              How log lines look: `auto` (text on a terminal, else json), `text` or `json`
              
              [env: HEADWATER_LOG_FORMAT=]
              [default: auto]

          --log-level <LEVEL>
              Least important log lines: `error`, `warn`, `info` or `debug`
              
              [default: info]

    Examples:
      # Two configs as JSON files below /etc/app, checked before and announced after each change
      headwater-agent --server http://config:7171 --config payments/prod --config feature-flags \
          --dir /etc/app --check 'app --test "$HEADWATER_FILE"' --on-change 'systemctl reload app'

      # One file, and a signal to the process that reads it
      headwater-agent --config edge/nginx --file /etc/nginx/upstreams.json \
          --signal HUP --pid-file /run/nginx.pid

      # Run a program with its config in place, and restart it with each change
      headwater-agent --config payments/prod --dir /run/app -- app --config /run/app/payments/prod.json

      # Init container: write and exit
      headwater-agent --config payments/prod --dir /config --once --timeout 30s

      # No files: ask http://127.0.0.1:7172/v1/configs/feature-flags
      headwater-agent --config feature-flags --listen 127.0.0.1:7172

    A config `payments/prod` is written as `payments/prod.json` (by format) below --dir. Commands are
    run by `sh -c` with HEADWATER_FILE, HEADWATER_DIR, HEADWATER_CONFIG, HEADWATER_VERSION and
    HEADWATER_DIGEST. SIGHUP tries again what was refused; SIGTERM ends the agent and its program.

    Exit codes: 0 fine, also with --once where the newest version was refused or not to be had and the
    last known good one is written; 1 refused or failed, and there is none; 2 wrong usage; 3 the server
    was not reached, and there is nothing on disk. With a program, its own exit code, or 128 and the
    number of the signal that ended it.
    "#);
}
