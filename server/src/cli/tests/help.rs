use clap::CommandFactory;

use crate::cli::Cli;

fn help_of(name: &str) -> String {
    let mut root = Cli::command().term_width(100);
    root.build();
    let command = if name.is_empty() {
        &mut root
    } else {
        root.find_subcommand_mut(name).unwrap()
    };
    let text = command.clone().term_width(100).render_long_help().to_string();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_program_explains_itself() {
    insta::assert_snapshot!(help_of(""), @"
    Configuration from Git: judged, published, watched

    A config version is a commit, a change is a pull request, a rollback is a revert commit. The first
    six commands need no server; the others ask a running one, and what they show is also in its HTTP
    API.

    Usage: headwater [OPTIONS] <COMMAND>

    Commands:
      serve         Follow repositories and serve their configs
      demo          Try it on this machine, with an upstream, a clone and three instances
      init          Make a config repository to begin with
      check         Judge files as the server would, without a server
      explain-code  Explain the code of a finding
      schema        Print a JSON Schema for an editor
      status        Show where each repository stands
      configs       List the configs of a repository
      get           Print a config, or one value of it
      watch         Tell each change of a config as it happens
      log           Show the history with verdicts
      diff          Show what changes between two revisions
      explain       Show which file and line set each value
      instances     Show what each instance says it runs
      plan          Show what a commit would touch
      rollouts      Show rollouts: what moves, what needs a person, what became of it
      promote       Let the next stage of a rollout begin
      pause         Stop a rollout, and let it stay as it is
      resume        Let a rollout go on that was paused, or has halted
      abort         Turn everybody back to what they held before a rollout
      accept        Take a rewritten history
      rollback      Go back to good content, now
      holds         Show what is held back
      release       Expose what a rollback holds back
      orders        Show the orders that wait for a second person
      confirm       Confirm an order of another person, and have it carried out
      withdraw      Withdraw an order that you gave and that waits for a second person
      backup        Write a copy of what a service has decided
      restore       Put a copy of what a service has decided back
      token         Make, list and take back the tokens that let somebody ask a service
      completions   Print the completions of a shell
      help          Print this message or the help of the given subcommand(s)

    Options:
      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

    Server:
          --server <URL>
              Address of the server [env: HEADWATER_SERVER] [default: http://127.0.0.1:7171]

          --repo <NAME>
              Repository [default: the only one of the server, or `default`]

          --token-file <FILE>
              File that holds the token, instead of HEADWATER_TOKEN

          --ca-file <FILE>
              PEM file of the authorities to trust, instead of those of the system [env:
              HEADWATER_CA_FILE]

          --client-cert <FILE>
              PEM file of a certificate to show to the server [env: HEADWATER_CLIENT_CERT]

          --client-key <FILE>
              PEM file of its key, if it is another [env: HEADWATER_CLIENT_KEY]

          --output <FORMAT>
              How to print the answer [default: text]

    Every command that asks a server takes --server (or HEADWATER_SERVER), --repo, --output, and a token
    from HEADWATER_TOKEN or --token-file. Exit codes: 0 fine, 1 findings or a refused request, 2 wrong
    usage, 3 server unreachable.

    Examples:
      headwater demo                                     # try it on this machine
      headwater serve --repo ../config                   # follow a repository of one's own
      headwater check                                    # the verdict, before pushing
      headwater get payments/prod /pool/max
      headwater watch payments/prod --output json
    ");
}

#[test]
fn status_explains_itself() {
    insta::assert_snapshot!(help_of("status"), @"
    Show where each repository stands

    The newest admitted commit (tip), the newest commit of the branch (head) and what became of it,
    whether the upstream answers, what is rolled out and how far it is, and what to do where something
    is wrong or a person is needed.

    Usage: headwater status [OPTIONS]

    Options:
          --exit-code
              Exit with 1 if a head is not published, an upstream does not answer, a rollout needs a
              person, or an order a second one

      -h, --help
              Print help (see a summary with '-h')

    Server:
          --server <URL>
              Address of the server [env: HEADWATER_SERVER] [default: http://127.0.0.1:7171]

          --repo <NAME>
              Repository [default: the only one of the server, or `default`]

          --token-file <FILE>
              File that holds the token, instead of HEADWATER_TOKEN

          --ca-file <FILE>
              PEM file of the authorities to trust, instead of those of the system [env:
              HEADWATER_CA_FILE]

          --client-cert <FILE>
              PEM file of a certificate to show to the server [env: HEADWATER_CLIENT_CERT]

          --client-key <FILE>
              PEM file of its key, if it is another [env: HEADWATER_CLIENT_KEY]

          --output <FORMAT>
              How to print the answer [default: text]

    Examples:
      headwater status
      headwater status --repo default --output json
      headwater status --exit-code || echo 'look at it'
    ");
}

#[test]
fn configs_explains_itself() {
    insta::assert_snapshot!(help_of("configs"), @r"
    List the configs of a repository

    One line for each config of the newest admitted commit: its name, the commit at which its content
    became what it is, the beginning of its digest, its generation, whether a rollback holds back what
    the branch has for it, and its variants.

    Usage: headwater configs [OPTIONS]

    Options:
      -h, --help
              Print help (see a summary with '-h')

    Server:
          --server <URL>
              Address of the server [env: HEADWATER_SERVER] [default: http://127.0.0.1:7171]

          --repo <NAME>
              Repository [default: the only one of the server, or `default`]

          --token-file <FILE>
              File that holds the token, instead of HEADWATER_TOKEN

          --ca-file <FILE>
              PEM file of the authorities to trust, instead of those of the system [env:
              HEADWATER_CA_FILE]

          --client-cert <FILE>
              PEM file of a certificate to show to the server [env: HEADWATER_CLIENT_CERT]

          --client-key <FILE>
              PEM file of its key, if it is another [env: HEADWATER_CLIENT_KEY]

          --output <FORMAT>
              How to print the answer [default: text]

    Examples:
      headwater configs
      headwater configs --repo edge
      headwater configs --output json | jq -r '.configs[].name'
    ");
}

#[test]
fn get_explains_itself() {
    insta::assert_snapshot!(help_of("get"), @r#"
    Print a config, or one value of it

    Prints what a client with these labels should hold now, or held at a revision: the merged document,
    or the value at a JSON pointer; a single text, number or truth value is printed bare. With --output
    json, the whole answer of the API, with version, tip, digest and sources.

    Usage: headwater get [OPTIONS] <CONFIG> [POINTER]

    Arguments:
      <CONFIG>
              Name of the config, such as payments/prod

      [POINTER]
              JSON pointer of one value, such as /pool/max

    Options:
          --format <FORMAT>
              Print the server's own rendering: toml, json or yaml

          --at <REV>
              At this revision instead of now: a commit id, a tag, the followed branch or `HEAD~1`

          --label <KEY=VALUE>
              Label of the client that asks; may be given several times

          --instance <ID>
              Name of the client that asks

          --min-version <COMMIT>
              Wait until this commit or a descendant is published

          --wait <SECONDS>
              How long to wait for --min-version, in seconds

              [default: 30]

          --raw-version
              Print only the commit at which the content became what it is

      -h, --help
              Print help (see a summary with '-h')

    Server:
          --server <URL>
              Address of the server [env: HEADWATER_SERVER] [default: http://127.0.0.1:7171]

          --repo <NAME>
              Repository [default: the only one of the server, or `default`]

          --token-file <FILE>
              File that holds the token, instead of HEADWATER_TOKEN

          --ca-file <FILE>
              PEM file of the authorities to trust, instead of those of the system [env:
              HEADWATER_CA_FILE]

          --client-cert <FILE>
              PEM file of a certificate to show to the server [env: HEADWATER_CLIENT_CERT]

          --client-key <FILE>
              PEM file of its key, if it is another [env: HEADWATER_CLIENT_KEY]

          --output <FORMAT>
              How to print the answer [default: text]

    Examples:
      headwater get payments/prod
      headwater get payments/prod /pool/max
      headwater get payments/prod --format toml --at v1.4 --label region=eu-west
      headwater get payments/prod --min-version "$(git rev-parse HEAD)"   # after a push
    "#);
}

#[test]
fn watch_explains_itself() {
    insta::assert_snapshot!(help_of("watch"), @r"
    Tell each change of a config as it happens

    Prints one line for the version that is current and for each that follows, and for what happens to
    the repository. Comes back by itself when the connection breaks, and ends when its token does. With
    --output json, one JSON object a line.

    Usage: headwater watch [OPTIONS] <CONFIG>...

    Arguments:
      <CONFIG>...
              Names of the configs

    Options:
          --label <KEY=VALUE>
              Label of the client that watches; may be given several times

          --instance <ID>
              Name of the client that watches

          --inline
              Ask for documents in the events, up to 256 KiB each

          --count <COUNT>
              End after so many versions

          --bookmarks
              Tell also that nothing changed, every half minute

      -h, --help
              Print help (see a summary with '-h')

    Server:
          --server <URL>
              Address of the server [env: HEADWATER_SERVER] [default: http://127.0.0.1:7171]

          --repo <NAME>
              Repository [default: the only one of the server, or `default`]

          --token-file <FILE>
              File that holds the token, instead of HEADWATER_TOKEN

          --ca-file <FILE>
              PEM file of the authorities to trust, instead of those of the system [env:
              HEADWATER_CA_FILE]

          --client-cert <FILE>
              PEM file of a certificate to show to the server [env: HEADWATER_CLIENT_CERT]

          --client-key <FILE>
              PEM file of its key, if it is another [env: HEADWATER_CLIENT_KEY]

          --output <FORMAT>
              How to print the answer [default: text]

    Examples:
      headwater watch payments/prod
      headwater watch payments/prod feature-flags --label region=eu-west
      headwater watch payments/prod --inline --output json | jq .document
    ");
}

#[test]
fn log_explains_itself() {
    insta::assert_snapshot!(help_of("log"), @r"
    Show the history with verdicts

    One line a commit, newest first: the verdict (✓ admitted, ✗ rejected, · not judged), the commit, its
    author and age, its subject, and the configs it changed. With a config, only the commits that
    changed it.

    Usage: headwater log [OPTIONS] [CONFIG]

    Arguments:
      [CONFIG]
              Only commits that changed this config

    Options:
      -n, --limit <COUNT>
              At most so many commits

              [default: 20]

          --before <COMMIT>
              Only commits older than this one

          --findings
              Print also what was found in each commit

      -h, --help
              Print help (see a summary with '-h')

    Server:
          --server <URL>
              Address of the server [env: HEADWATER_SERVER] [default: http://127.0.0.1:7171]

          --repo <NAME>
              Repository [default: the only one of the server, or `default`]

          --token-file <FILE>
              File that holds the token, instead of HEADWATER_TOKEN

          --ca-file <FILE>
              PEM file of the authorities to trust, instead of those of the system [env:
              HEADWATER_CA_FILE]

          --client-cert <FILE>
              PEM file of a certificate to show to the server [env: HEADWATER_CLIENT_CERT]

          --client-key <FILE>
              PEM file of its key, if it is another [env: HEADWATER_CLIENT_KEY]

          --output <FORMAT>
              How to print the answer [default: text]

    Examples:
      headwater log
      headwater log payments/prod --limit 5
      headwater log --findings
    ");
}

#[test]
fn diff_explains_itself() {
    insta::assert_snapshot!(help_of("diff"), @r"
    Show what changes between two revisions

    First the values that differ, by config: old → new, with the file and line that set them. Then the
    text of the files that differ.

    Usage: headwater diff [OPTIONS] <FROM> [TO]

    Arguments:
      <FROM>
              Revision to compare from: a commit id, a tag, the followed branch or `HEAD~1`

      [TO]
              Revision to compare to

              [default: HEAD]

    Options:
          --config <CONFIG>
              Only this config

          --values
              Print only the values, not the text of the files

      -h, --help
              Print help (see a summary with '-h')

    Server:
          --server <URL>
              Address of the server [env: HEADWATER_SERVER] [default: http://127.0.0.1:7171]

          --repo <NAME>
              Repository [default: the only one of the server, or `default`]

          --token-file <FILE>
              File that holds the token, instead of HEADWATER_TOKEN

          --ca-file <FILE>
              PEM file of the authorities to trust, instead of those of the system [env:
              HEADWATER_CA_FILE]

          --client-cert <FILE>
              PEM file of a certificate to show to the server [env: HEADWATER_CLIENT_CERT]

          --client-key <FILE>
              PEM file of its key, if it is another [env: HEADWATER_CLIENT_KEY]

          --output <FORMAT>
              How to print the answer [default: text]

    Examples:
      headwater diff v1.4 main
      headwater diff HEAD~1 --config payments/prod
      headwater diff 1a2b3c4d5e 9f8e7d6c5b --values
    ");
}

#[test]
fn explain_explains_itself() {
    insta::assert_snapshot!(help_of("explain"), @r"
    Show which file and line set each value

    A config is merged from layers, and later layers win. For each value this prints the place that won
    and the places it overrides, nearest first.

    Usage: headwater explain [OPTIONS] <CONFIG> [POINTER]

    Arguments:
      <CONFIG>
              Name of the config, such as payments/prod

      [POINTER]
              Only the values at or below this JSON pointer

    Options:
          --at <REV>
              At this revision instead of now: a commit id, a tag, the followed branch or `HEAD~1`

          --label <KEY=VALUE>
              Label which chooses the variant; may be given several times

      -h, --help
              Print help (see a summary with '-h')

    Server:
          --server <URL>
              Address of the server [env: HEADWATER_SERVER] [default: http://127.0.0.1:7171]

          --repo <NAME>
              Repository [default: the only one of the server, or `default`]

          --token-file <FILE>
              File that holds the token, instead of HEADWATER_TOKEN

          --ca-file <FILE>
              PEM file of the authorities to trust, instead of those of the system [env:
              HEADWATER_CA_FILE]

          --client-cert <FILE>
              PEM file of a certificate to show to the server [env: HEADWATER_CLIENT_CERT]

          --client-key <FILE>
              PEM file of its key, if it is another [env: HEADWATER_CLIENT_KEY]

          --output <FORMAT>
              How to print the answer [default: text]

    Examples:
      headwater explain payments/prod
      headwater explain payments/prod /pool
      headwater explain payments/prod /pool/max --at v1.4 --label region=eu-west
    ");
}

#[test]
fn accept_explains_itself() {
    insta::assert_snapshot!(help_of("accept"), @r#"
    Take a rewritten history

    After a forced push the server goes on serving the last good commit and holds the new head until a
    person has looked at it. The head must be named, so that what is taken is what was seen; the reason
    is kept.

    Usage: headwater accept [OPTIONS] --reason <TEXT> <HEAD>

    Arguments:
      <HEAD>
              The head that is held: its id, or the first 7 or more digits of it

    Options:
          --reason <TEXT>
              Why it is taken; kept with the decision

          --requested-by <PERSON>
              Who takes it, as `Name <address>` or a name; kept with the decision

      -h, --help
              Print help (see a summary with '-h')

    Server:
          --server <URL>
              Address of the server [env: HEADWATER_SERVER] [default: http://127.0.0.1:7171]

          --repo <NAME>
              Repository [default: the only one of the server, or `default`]

          --token-file <FILE>
              File that holds the token, instead of HEADWATER_TOKEN

          --ca-file <FILE>
              PEM file of the authorities to trust, instead of those of the system [env:
              HEADWATER_CA_FILE]

          --client-cert <FILE>
              PEM file of a certificate to show to the server [env: HEADWATER_CLIENT_CERT]

          --client-key <FILE>
              PEM file of its key, if it is another [env: HEADWATER_CLIENT_KEY]

          --output <FORMAT>
              How to print the answer [default: text]

    Examples:
      headwater status                                                    # shows the head that is held
      headwater accept 9f8e7d6c5b --reason "secrets removed from history"
    "#);
}

#[test]
fn instances_explains_itself() {
    insta::assert_snapshot!(help_of("instances"), @r"
    Show what each instance says it runs

    One line for each instance and config: the state, the version it runs and whether that is the one it
    is assigned (drift), the generation it has seen, when it was heard last, and why it failed if it
    did. Of one that was not heard of lately nobody knows what it does now, so its state is `unknown`;
    those that have said that they end are not shown. With the name of an instance: that one alone, with
    what it ran before.

    Usage: headwater instances [OPTIONS] [INSTANCE]

    Arguments:
      [INSTANCE]
              Only this instance, with what it ran and when

    Options:
          --at <TIME>
              What the instance ran at this time, in UTC: 14:03, 14:03:20 or 2026-01-31T14:03:00Z

          --config <CONFIG>
              Only instances that report this config, and only this config

          --state <STATE>
              Only where a config is pending, prepared, applied, confirmed or failed, or unknown

          --version <REV>
              Only instances that run this version: a commit, or a unique beginning of one

          --liveness <LIVENESS>
              Only instances that are live, stale, lost or gone

          --drift <DRIFT>
              Only where what runs is in_sync, divergent or pinned

          --label <KEY=GLOB>
              Only instances with this label, whose value is a glob; may be repeated

          --forget
              Let the service forget the instance: its next report counts as its first, whatever was
              reported under its name

      -h, --help
              Print help (see a summary with '-h')

    Server:
          --server <URL>
              Address of the server [env: HEADWATER_SERVER] [default: http://127.0.0.1:7171]

          --repo <NAME>
              Repository [default: the only one of the server, or `default`]

          --token-file <FILE>
              File that holds the token, instead of HEADWATER_TOKEN

          --ca-file <FILE>
              PEM file of the authorities to trust, instead of those of the system [env:
              HEADWATER_CA_FILE]

          --client-cert <FILE>
              PEM file of a certificate to show to the server [env: HEADWATER_CLIENT_CERT]

          --client-key <FILE>
              PEM file of its key, if it is another [env: HEADWATER_CLIENT_KEY]

          --output <FORMAT>
              How to print the answer [default: text]

    Examples:
      headwater instances
      headwater instances --config payments/prod --state failed
      headwater instances --version 9f2c --label region='eu-*'
      headwater instances --state unknown
      headwater instances payments-7f9c --at 14:03
      headwater instances payments-7f9c --forget
    ");
}

#[test]
fn completions_explains_itself() {
    insta::assert_snapshot!(help_of("completions"), @r#"
    Print the completions of a shell

    Write them where the shell looks for them, and start it again.

    Usage: headwater completions <SHELL>

    Arguments:
      <SHELL>
              The shell

              [possible values: bash, elvish, fish, powershell, zsh]

    Options:
      -h, --help
              Print help (see a summary with '-h')

    Examples:
      headwater completions bash > /etc/bash_completion.d/headwater
      headwater completions zsh > "${fpath[1]}/_headwater"
      headwater completions fish > ~/.config/fish/completions/headwater.fish
    "#);
}

#[test]
fn the_definition_of_all_commands_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn check_explains_itself() {
    insta::assert_snapshot!(help_of("check"), @r"
    Judge files as the server would, without a server

    Prints every finding with its place and says whether the server would admit the commit: the same
    verdict in the same words. Errors make the command exit with 1, so that it can stand in a hook or in
    a pipeline.

    Usage: headwater check [OPTIONS] [DIR|REV]

    Arguments:
      [DIR|REV]
              A directory, or else a revision of the repository around the current directory

    Options:
          --staged
              Judge what is staged instead of the files of the work tree

          --against <REV>
              Commit taken for the one that is served now [default: HEAD; for a REV, its first parent]

          --message-file <FILE>
              File with the message of the commit, as the hook commit-msg has it: its trailers count

          --deadline <DURATION>
              Longest time for a verdict, such as 10s or 2m [default: 30s]

          --format <FORMAT>
              How to print the verdict: `text`, `json` as the API answers, `sarif`, `github` or `junit`

              [default: text]

          --watch
              Go on, and judge again whenever files change

          --fix
              First write headwater.toml in the newest format, keeping its comments; nothing else is
              ever changed

      -h, --help
              Print help (see a summary with '-h')

    What is read:
      nothing named  all files of the work tree that Git tracks or would add
      DIR            the same of a directory, taken for the top of a config repository;
                     outside of Git, all files below it
      REV            a commit: an id, a branch, a tag or HEAD~1; a bare repository will do
      --staged       what is staged, which is what the next commit will hold

    Symbolic links are never followed and filters of .gitattributes are not applied; --staged and REV
    see exactly what Git has stored. Limits are those of a server without settings of its own; what
    takes too long or too much memory is an error, as it is there. Exit codes: 0 no error, 1 an error
    was found, 2 nothing could be checked.

    Examples:
      headwater check
      headwater check HEAD~1 --format json
      headwater check --format sarif > findings.sarif
      headwater check --watch
      headwater check main --against v1.4
      printf '#!/bin/sh\nexec headwater check --staged\n' > .git/hooks/pre-commit
      chmod +x .git/hooks/pre-commit
    ");
}

#[test]
fn demo_explains_itself() {
    insta::assert_snapshot!(help_of("demo"), @r"
    Try it on this machine, with an upstream, a clone and three instances

    Makes a bare repository and a clone of it, serves it, and starts three simulated instances that
    print what they are told. Then edit, commit and push in the clone and watch. Needs `git`. Ctrl-C
    ends it.

    Usage: headwater demo [OPTIONS]

    Options:
          --dir <DIR>
              Directory to keep everything in [default: a temporary one, which is removed at the end]

          --listen <ADDRESS>
              Address and port to listen on; only this machine reaches it [default: 127.0.0.1:7171, or a
              free port]

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      headwater demo
      headwater demo --dir ~/headwater-demo    # kept, and taken up again next time
    ");
}

#[test]
fn init_explains_itself() {
    insta::assert_snapshot!(help_of("init"), @r"
    Make a config repository to begin with

    Writes a small repository that shows layers, environments, a variant and schemas, and makes its
    first commit. Its README.md says how to change a value and what happens then. Only an empty or new
    directory is taken.

    Usage: headwater init <DIR>

    Arguments:
      <DIR>
              Directory to make

    Options:
      -h, --help
              Print help (see a summary with '-h')

    Examples:
      headwater init config
      headwater check config
      headwater serve --repo config
    ");
}

#[test]
fn rollback_explains_itself() {
    insta::assert_snapshot!(help_of("rollback"), @r#"
    Go back to good content, now

    Instances are turned to it at once; a revert commit follows, pushed to the branch, or as a pull
    request where the branch is protected. Until a commit with other content comes, what was bad is not
    exposed again: see `headwater holds`. The server must allow writing. The same command again is the
    same rollback, as long as nothing else has happened; one that counts back to what a rollback went
    away from is refused. With `--dry-run` nothing happens: it says what would change and for whom, or
    why it would be refused.

    Usage: headwater rollback [OPTIONS] <--to <REV>|--revert <REV>>

    Options:
          --to <REV>
              Bring back the content of this commit

          --revert <REV>
              Take back the change of this commit, and keep what came after it

      -m, --mainline <N>
              For a merge: the parent whose side is kept; 1 is the branch that was merged into

          --config <CONFIG>
              Only this config, with `--to`

          --reason <TEXT>
              Why; it stands in the commit

          --dry-run
              Only say what would change, for whom, and what is left alone

          --requested-by <PERSON>
              Who asks, as `Name <address>` or a name: the author of the commit [default: the server]

          --expected-tip <REV>
              Refuse if the branch is not at this commit, or has moved on from it

          --propose
              Open a pull request in any case

          --force-invalid
              Insist, although the content does not validate; the server must allow it

      -h, --help
              Print help (see a summary with '-h')

    Server:
          --server <URL>
              Address of the server [env: HEADWATER_SERVER] [default: http://127.0.0.1:7171]

          --repo <NAME>
              Repository [default: the only one of the server, or `default`]

          --token-file <FILE>
              File that holds the token, instead of HEADWATER_TOKEN

          --ca-file <FILE>
              PEM file of the authorities to trust, instead of those of the system [env:
              HEADWATER_CA_FILE]

          --client-cert <FILE>
              PEM file of a certificate to show to the server [env: HEADWATER_CLIENT_CERT]

          --client-key <FILE>
              PEM file of its key, if it is another [env: HEADWATER_CLIENT_KEY]

          --output <FORMAT>
              How to print the answer [default: text]

    Examples:
      headwater rollback --to HEAD~1 --reason "pool too small"
      headwater rollback --to v41 --config payments/prod --reason "errors since v42"
      headwater rollback --revert 9f8e7d6c5b --reason "wrong region" --propose
      headwater rollback --to 9f8e7d6c5b --dry-run
    "#);
}

#[test]
fn explain_code_explains_itself() {
    insta::assert_snapshot!(help_of("explain-code"), @"
    Explain the code of a finding

    Every finding has a code, such as schema/type. This says what it means, why it matters, where it is
    found and what to do about it, as docs/findings.md does.

    Usage: headwater explain-code [OPTIONS] [CODE]

    Arguments:
      [CODE]
              The code, as it stands in brackets at the beginning of a finding

    Options:
          --list
              Name all codes, each with what it means

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      headwater explain-code schema/type
      headwater explain-code --list
    ");
}

#[test]
fn schema_explains_itself() {
    insta::assert_snapshot!(help_of("schema"), @"
    Print a JSON Schema for an editor

    The schema knows keys, types and choices. What depends on the files of the repository, only
    `headwater check` can say.

    Usage: headwater schema <WHAT>

    Arguments:
      <WHAT>
              What to describe: `manifest`, which is headwater.toml

    Options:
      -h, --help
              Print help (see a summary with '-h')

    An editor with a language server for TOML (such as Taplo) completes and checks headwater.toml with
    it, if the first line of that file names it: `#:schema ./.headwater.schema.json`.

    Examples:
      headwater schema manifest > .headwater.schema.json
    ");
}

#[test]
fn rollouts_explains_itself() {
    insta::assert_snapshot!(help_of("rollouts"), @"
    Show rollouts: what moves, what needs a person, what became of it

    What needs a person comes first, then what moves, then what is over, newest first. Of a rollout that
    is named by its id everything is told that was decided. A config that is moved at once is told of
    while an instance does not run it.

    Usage: headwater rollouts [OPTIONS] [CONFIG|ID]

    Arguments:
      [CONFIG|ID]
              Only rollouts of this config; or the id of one rollout

    Options:
          --state <STATE>
              Only rollouts in this state, such as halted

      -h, --help
              Print help (see a summary with '-h')

    Server:
          --server <URL>
              Address of the server [env: HEADWATER_SERVER] [default: http://127.0.0.1:7171]

          --repo <NAME>
              Repository [default: the only one of the server, or `default`]

          --token-file <FILE>
              File that holds the token, instead of HEADWATER_TOKEN

          --ca-file <FILE>
              PEM file of the authorities to trust, instead of those of the system [env:
              HEADWATER_CA_FILE]

          --client-cert <FILE>
              PEM file of a certificate to show to the server [env: HEADWATER_CLIENT_CERT]

          --client-key <FILE>
              PEM file of its key, if it is another [env: HEADWATER_CLIENT_KEY]

          --output <FORMAT>
              How to print the answer [default: text]

    Examples:
      headwater rollouts
      headwater rollouts payments/prod
      headwater rollouts r-57
      headwater rollouts --state halted --output json
    ");
}

#[test]
fn promote_explains_itself() {
    insta::assert_snapshot!(help_of("promote"), @r#"
    Let the next stage of a rollout begin

    The stage that waits for a person begins, or the open one is not waited for: what is left of its
    bake, and instances that do not run it yet. No freeze ends by it, a rollout that has stopped is
    resumed first, and instances that get ready cannot be skipped.

    Usage: headwater promote [OPTIONS] --reason <TEXT> <ID|CONFIG>

    Arguments:
      <ID|CONFIG>
              The rollout, as `headwater rollouts` names it, or the config that it moves

    Options:
          --reason <TEXT>
              Why; kept with the decision

          --requested-by <PERSON>
              Who asks, as `Name <address>` or a name; kept with the decision

      -h, --help
              Print help (see a summary with '-h')

    Server:
          --server <URL>
              Address of the server [env: HEADWATER_SERVER] [default: http://127.0.0.1:7171]

          --repo <NAME>
              Repository [default: the only one of the server, or `default`]

          --token-file <FILE>
              File that holds the token, instead of HEADWATER_TOKEN

          --ca-file <FILE>
              PEM file of the authorities to trust, instead of those of the system [env:
              HEADWATER_CA_FILE]

          --client-cert <FILE>
              PEM file of a certificate to show to the server [env: HEADWATER_CLIENT_CERT]

          --client-key <FILE>
              PEM file of its key, if it is another [env: HEADWATER_CLIENT_KEY]

          --output <FORMAT>
              How to print the answer [default: text]

    Examples:
      headwater promote r-57 --reason "the canary is well"
      headwater pause payments/prod --reason "have a look first"
      headwater resume r-57 --reason "the instance was at fault"
      headwater abort r-57 --reason "errors since noon" --requested-by "Ada <ada@example.test>"
    "#);
}

#[test]
fn what_waits_for_a_second_person_explains_itself() {
    assert!(help_of("orders").contains("Show the orders that wait for a second person"));
    for (command, says) in [
        ("confirm", "Whoever gave an order"),
        ("withdraw", "Withdraw an order that you gave"),
    ] {
        let help = help_of(command);
        assert!(
            help.contains(says) && help.contains("headwater confirm o-"),
            "{help}"
        );
        assert!(help.contains("--reason <TEXT>"), "{help}");
    }
}

#[test]
fn plan_explains_itself() {
    insta::assert_snapshot!(help_of("plan"), @"
    Show what a commit would touch

    Which configs get other content than they have now, how many of the instances that report have them,
    in which stages these would get it, and how long that takes at least. Nothing is exposed. The newest
    commit of a pull request can be named by its hash, where the server judges pull requests.

    Usage: headwater plan [OPTIONS] [REV]

    Arguments:
      [REV]
              The commit: a hash or a unique beginning of one, the followed branch, a tag, or HEAD

              [default: HEAD]

    Options:
      -h, --help
              Print help (see a summary with '-h')

    Server:
          --server <URL>
              Address of the server [env: HEADWATER_SERVER] [default: http://127.0.0.1:7171]

          --repo <NAME>
              Repository [default: the only one of the server, or `default`]

          --token-file <FILE>
              File that holds the token, instead of HEADWATER_TOKEN

          --ca-file <FILE>
              PEM file of the authorities to trust, instead of those of the system [env:
              HEADWATER_CA_FILE]

          --client-cert <FILE>
              PEM file of a certificate to show to the server [env: HEADWATER_CLIENT_CERT]

          --client-key <FILE>
              PEM file of its key, if it is another [env: HEADWATER_CLIENT_KEY]

          --output <FORMAT>
              How to print the answer [default: text]

    Examples:
      headwater plan HEAD
      headwater plan 9f8e7d6c5b --output json
    ");
}
