use super::*;

fn rejected() -> RepoView {
    RepoView {
        head: Some(commit_id('b')),
        head_state: HeadState::Rejected,
        source_state: SourceState::Unreachable,
        synced_at: Some(ago(4_000)),
        stale: true,
        error: Some("the head was rejected: 1 error".into()),
        hint: Some("fix it in a new commit".into()),
        findings: vec![finding()],
        ..repo("flags")
    }
}

#[test]
fn hooks_that_are_silent_are_told_with_the_repository() {
    let silent = RepoView {
        hook_silence: Some(ago(600)),
        ..repo("default")
    };
    let server = serve(answering("/v1/repos", &RepoList { repos: vec![silent] }));
    insta::assert_snapshot!(headwater(&server, &["status"]), @r"
    exit 0
    default  https://forge.example/acme/config.git (main)
      tip      aaaaaaaaaa
      head     aaaaaaaaaa  published
      source   ok, synced 3 s ago
      configs  12
      hooks    silent: a poll found what no webhook had told of, 10 min ago
    ");
}

#[test]
fn each_repository_is_shown_on_a_few_lines() {
    let starting = RepoView {
        branch: None,
        tip: None,
        head: None,
        head_state: HeadState::None,
        source_state: SourceState::Starting,
        synced_at: None,
        configs: 0,
        ..repo("new")
    };
    let server = serve(answering(
        "/v1/repos",
        &RepoList {
            repos: vec![repo("default"), rejected(), starting],
        },
    ));
    insta::assert_snapshot!(headwater(&server, &["status"]), @r#"
    exit 0
    default  https://forge.example/acme/config.git (main)
      tip      aaaaaaaaaa
      head     aaaaaaaaaa  published
      source   ok, synced 3 s ago
      configs  12

    flags  https://forge.example/acme/config.git (main)
      tip      aaaaaaaaaa
      head     bbbbbbbbbb  rejected
      source   unreachable, synced 66 min ago, stale
      configs  12
      error    the head was rejected: 1 error
      hint     fix it in a new commit
      services/payments/base.toml:12:7: error[schema/type]: `pool.max` must be an integer, not `"ten"`
        at `/pool/max` of `payments/prod`
        see schemas/payments.schema.json:4:20: the type is set here
        hint: write the number without quotes

    new  https://forge.example/acme/config.git (branch not known yet)
      tip      none
      head     none
      source   starting, never synced
      configs  0
    "#);
}

#[test]
fn the_exit_code_tells_bad_news_only_when_asked() {
    let server = serve(answering("/v1/repos/flags", &rejected()));
    assert!(headwater(&server, &["status", "--repo", "flags"]).starts_with("exit 0\n"));
    assert!(headwater(&server, &["status", "--repo", "flags", "--exit-code"]).starts_with("exit 1\n"));
}

#[test]
fn json_is_what_the_api_answered() {
    let server = serve(answering("/v1/repos/default", &repo("default")));
    insta::assert_snapshot!(headwater(&server, &["status", "--repo", "default", "--output", "json"]), @r#"
    exit 0
    {
      "name": "default",
      "url": "https://forge.example/acme/config.git",
      "branch": "main",
      "tip": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
      "head": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
      "head_state": "published",
      "source_state": "ok",
      "synced_at": "2027-01-15T07:59:57.000Z",
      "stale": false,
      "configs": 12,
      "rollouts": []
    }
    "#);
}

#[test]
fn a_terminal_gets_colours() {
    let server = serve(answering("/v1/repos/default", &repo("default")));
    let environment = Environment {
        out_paint: Paint::Ansi,
        ..environment()
    };
    let told = headwater_in(&environment, &server, &["status", "--repo", "default"]);
    insta::assert_snapshot!(told.replace('\u{1b}', "ESC"), @r"
    exit 0
    ESC[1mdefaultESC[0m  https://forge.example/acme/config.git (main)
      ESC[2mtipESC[0m      aaaaaaaaaa
      ESC[2mheadESC[0m     ESC[32maaaaaaaaaa  publishedESC[0m
      ESC[2msourceESC[0m   ESC[32mok, synced 3 s agoESC[0m
      ESC[2mconfigsESC[0m  12
    ");
}

#[test]
fn a_server_without_repositories_says_so() {
    let server = serve(answering("/v1/repos", &RepoList { repos: Vec::new() }));
    insta::assert_snapshot!(headwater(&server, &["status"]), @r"
    exit 0
    the server follows no repository
    ");
}
