//! `headwater serve`: its settings, its signals, its end.

use headwater_server::settings::key_help;
use headwater_tests::origin::TestOrigin;

use crate::command::{Running, WorkTree, program, told};

fn origin() -> TestOrigin {
    let origin = TestOrigin::new();
    origin.commit(&[("a.toml", Some("x = 1\n"))], "first");
    origin
}

#[test]
fn all_mistakes_of_file_environment_and_flags_are_told_together() {
    let place = WorkTree::plain();
    place.write(
        "headwater-server.toml",
        "lisen = \"127.0.0.1:1\"\n[[repo]]\nname = \"Upper Case\"\n",
    );
    let mut command = program(place.path());
    command.env("HEADWATER_POLL_INTERVAL", "1ms").args([
        "serve",
        "--listen",
        "nowhere",
        "--log-format",
        "xml",
    ]);
    insta::assert_snapshot!(told(&mut command), @"
    exit 2
    --- standard error
    error: headwater-server.toml:1: there is no setting `lisen`
      hint: did you mean `listen`?
    error: headwater-server.toml:2: this repository has no `url`
    error: headwater-server.toml:3: `name`: not a repository name: `Upper Case`
    error: environment HEADWATER_POLL_INTERVAL: `poll_interval`: expected between `1s` and `24h`, not `1ms`
    error: flag --listen: `listen`: expected an address and port such as `127.0.0.1:7171`
    error: flag --log-format: `log_format`: expected `auto`, `text` or `json`, not `xml`
    6 mistakes in the settings
    ");
    command.arg("--check-settings");
    let checked = told(&mut command);
    assert!(checked.starts_with("exit 1\n"), "{checked}");
}

#[test]
fn good_settings_are_good_and_nothing_is_started() {
    let place = WorkTree::plain();
    place.write(
        "s.toml",
        "listen = \"127.0.0.1:0\"\n[[repo]]\nname = \"config\"\nurl = \"/nowhere\"\n",
    );
    insta::assert_snapshot!(place.headwater(&["serve", "--settings", "s.toml", "--check-settings"]), @"
    exit 0
    settings are good
    ");
    assert!(!place.join("headwater-data").exists());
}

#[test]
fn a_file_of_tokens_that_is_not_there_is_found_before_the_start() {
    let place = WorkTree::plain();
    place.write(
        "s.toml",
        "tokens_file = \"nowhere.toml\"\n[[repo]]\nurl = \"/nowhere\"\n",
    );
    let checked = place.headwater(&["serve", "--settings", "s.toml", "--check-settings"]);
    assert!(
        checked.starts_with("exit 1\n") && checked.contains("cannot use the file of tokens"),
        "{checked}"
    );
}

#[test]
fn a_flag_wins_over_a_variable_and_a_variable_over_the_file() {
    let (place, origin) = (WorkTree::plain(), origin());
    place.write(
        "headwater-server.toml",
        "listen = \"not an address\"\ndata_dir = \"from-file\"\n",
    );
    let mut command = program(place.path());
    command
        .env("HEADWATER_LISTEN", "127.0.0.1:0")
        .env("HEADWATER_DATA_DIR", "from-variable");
    command
        .args(["serve", "--data-dir", "from-flag", "--repo"])
        .arg(origin.path());
    insta::assert_snapshot!(told(command.arg("--check-settings")), @"
    exit 1
    --- standard error
    error: headwater-server.toml:1: `listen`: expected an address and port such as `127.0.0.1:7171`
    1 mistake in the settings
    ");
    place.write("headwater-server.toml", "data_dir = \"from-file\"\n");
    let mut command = program(place.path());
    command
        .env("HEADWATER_LISTEN", "127.0.0.1:0")
        .env("HEADWATER_DATA_DIR", "from-variable");
    let mut served = Running::start(
        command
            .args(["serve", "--data-dir", "from-flag", "--repo"])
            .arg(origin.path()),
    );
    served.line("listening on http://127.0.0.1:");
    served.signal("-TERM");
    assert_eq!(served.end().code(), Some(0));
    assert!(place.join("from-flag").is_dir() && !place.join("from-variable").exists());
}

#[test]
fn it_says_where_it_listens_on_one_line_and_ends_well_at_a_signal() {
    let (place, origin) = (WorkTree::plain(), origin());
    for signal in ["-TERM", "-INT"] {
        let mut command = program(place.path());
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--repo"])
            .arg(origin.path());
        let mut served = Running::start(&mut command);
        served.line("listening on http://127.0.0.1:");
        served.signal(signal);
        assert_eq!(served.end().code(), Some(0));
        assert_eq!(served.seen().lines().count(), 1, "{}", served.seen());
    }
}

#[test]
fn a_hangup_reads_the_settings_again_and_says_what_it_found() {
    let (place, origin) = (WorkTree::plain(), origin());
    place.write("headwater-server.toml", "listen = \"127.0.0.1:0\"\n");
    let mut command = program(place.path());
    command
        .args(["serve", "--log-format", "text", "--repo"])
        .arg(origin.path());
    let mut served = Running::start(&mut command);
    served.line("listening on");
    served.signal("-HUP");
    served.err_line("the settings are unchanged");
    place.write("headwater-server.toml", "lisen = \"127.0.0.1:0\"\n");
    served.signal("-HUP");
    served.err_line("headwater-server.toml:1: there is no setting `lisen`");
    served.err_line("SIGHUP: the settings have mistakes; the running ones stay");
    place.write("headwater-server.toml", "listen = \"127.0.0.1:1\"\n");
    served.signal("-HUP");
    served.err_line("`listen` takes effect at the next start");
    served.err_line("the settings were reloaded");
    served.signal("-TERM");
    assert_eq!(served.end().code(), Some(0));
}

#[test]
fn an_address_that_is_taken_is_said_with_a_way_out() {
    let (place, origin) = (WorkTree::plain(), origin());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = program(place.path());
    command
        .args(["serve", "--listen", &address, "--repo"])
        .arg(origin.path());
    insta::assert_snapshot!(told(&mut command).replace(&address, "ADDRESS"), @"
    exit 1
    --- standard error
    error: cannot listen on `ADDRESS`
    cause: Address already in use (os error 98)
    hint: another process may listen there; say another --listen
    ");
}

#[test]
fn an_option_of_a_client_in_front_is_not_swallowed() {
    let place = WorkTree::plain();
    insta::assert_snapshot!(place.headwater(&["--repo", "default", "serve"]), @"
    exit 2
    --- standard error
    error: `--repo` before `serve` is about a server, and `serve` asks none
    hint: to follow a repository, write `headwater serve --repo URL_OR_PATH`
    ");
}

#[test]
fn the_help_names_every_setting_with_its_variable_and_default() {
    let help = WorkTree::plain().headwater(&["serve", "--help"]);
    for key in key_help() {
        let line = help
            .lines()
            .find(|line| line.split_whitespace().nth(1) == Some(&key.variable));
        let line = line.unwrap_or_else(|| panic!("{} is not in:\n{help}", key.variable));
        assert!(
            line.starts_with(&format!("  {}", key.name)) && line.contains(key.default),
            "{line}"
        );
    }
}
