use super::*;

#[test]
fn a_server_that_is_not_there_exits_with_3() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    insta::assert_snapshot!(headwater(&server, &["watch", "a", "--repo", "default"]), @r"
    exit 3
    --- standard error
    error: cannot reach the server at `SERVER`
    cause: Connection refused (os error 111)
    hint: is the server running? name another one with `--server` or `HEADWATER_SERVER`
    ");
}

#[test]
fn several_repositories_need_a_choice_unless_one_is_the_default() {
    let several = |names: [&str; 2]| {
        serve(answering(
            "/v1/repos",
            &RepoList {
                repos: names.map(repo).into(),
            },
        ))
    };
    insta::assert_snapshot!(headwater(&several(["a", "b"]), &["log"]), @r"
    exit 2
    --- standard error
    error: the server follows several repositories: `a`, `b`
    hint: choose one with `--repo NAME`
    ");
    assert!(headwater(&several(["a", "default"]), &["log"]).contains("SERVER"));
    let none = serve(answering("/v1/repos", &RepoList { repos: Vec::new() }));
    insta::assert_snapshot!(headwater(&none, &["log"]), @r"
    exit 1
    --- standard error
    error: the server follows no repository
    hint: start it with `headwater serve --repo URL_OR_PATH`, or name repositories in its settings
    ");
}

#[test]
fn an_option_behind_the_command_wins_over_one_before_it() {
    let server = serve(answering("/v1/repos/b", &repo("b")));
    assert!(headwater(&server, &["--repo", "a", "status", "--repo", "b"]).starts_with("exit 0\nb  https"));
}

#[test]
fn the_server_may_be_named_by_the_environment_but_an_option_wins() {
    let server = serve(answering("/v1/repos/b", &repo("b")));
    let environment = Environment {
        server: Some(server.clone()),
        ..environment()
    };
    for args in [
        &["headwater", "status", "--repo", "b"][..],
        &["headwater", "status", "--repo", "b", "--server", &server],
    ] {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        assert_eq!(
            run(args.iter().map(OsString::from), &environment, &mut out, &mut err),
            0
        );
    }
    let told = headwater_in(&environment, "not-an-address", &["status", "--repo", "b"]);
    assert!(told.starts_with("exit 2\n"), "{told}");
}

#[test]
fn wrong_usage_exits_with_2() {
    insta::assert_snapshot!(headwater("http://h", &["get", "/abs"]), @r"
    exit 2
    --- standard error
    error: invalid value '/abs' for '<CONFIG>': not a config name: `/abs`

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(headwater("http://h", &["get", "a", "pool.max"]), @r"
    exit 2
    --- standard error
    error: invalid value 'pool.max' for '[POINTER]': a JSON pointer begins with a slash, such as `/pool/max`

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(headwater("http://h", &["watch", "a", "--label", "eu"]), @r"
    exit 2
    --- standard error
    error: invalid value 'eu' for '--label <KEY=VALUE>': a label is written `KEY=VALUE`

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(headwater("http://h", &["diff"]), @r"
    exit 2
    --- standard error
    error: the following required arguments were not provided:
      <FROM>

    Usage: headwater diff <FROM> [TO]

    For more information, try '--help'.
    ");
}

#[test]
fn server_options_that_make_no_client_exit_with_2() {
    insta::assert_snapshot!(headwater("h:1", &["status"]), @r"
    exit 2
    --- standard error
    error: not an `http://` or `https://` address: `SERVER`
    hint: write it like `http://127.0.0.1:7171` or `https://config.example.org`
    ");
    insta::assert_snapshot!(headwater("http://u:secret@h", &["status"]).replace("SERVER", "LEAK"), @r"
    exit 2
    --- standard error
    error: the server address holds credentials
    hint: give the token in `HEADWATER_TOKEN` or a token file, never in an address
    ");
    insta::assert_snapshot!(headwater("http://h", &["status", "--token-file", "no/such/file"]), @r"
    exit 2
    --- standard error
    error: cannot read `no/such/file`
    cause: No such file or directory (os error 2)
    hint: check the path and its permissions
    ");
    let environment = Environment {
        token: Some("two words".into()),
        ..environment()
    };
    insta::assert_snapshot!(headwater_in(&environment, "http://h", &["status"]), @r"
    exit 2
    --- standard error
    error: cannot use the token from `HEADWATER_TOKEN`
    cause: the token has a character that cannot stand in a header
    hint: a token is one word of visible ASCII characters
    ");
}

/// A pipe whose reader has gone.
struct Gone;

impl Write for Gone {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let server = serve(answering(
        "/v1/repos",
        &RepoList {
            repos: vec![repo("default")],
        },
    ));
    for output in ["text", "json"] {
        let args = ["headwater", "status", "--server", &server, "--output", output].map(OsString::from);
        let mut err = Vec::new();
        assert_eq!(run(args, &environment(), &mut Gone, &mut err), 0);
        assert_eq!(String::from_utf8(err).unwrap(), "");
    }
}

#[test]
fn every_shell_has_completions_for_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let told = headwater("http://h", &["completions", shell]);
        assert!(told.starts_with("exit 0\n"), "{told}");
        for command in ["status", "watch", "explain"] {
            assert!(told.contains(command), "{shell} lacks {command}");
        }
    }
}
