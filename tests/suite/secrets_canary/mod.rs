//! A service that holds a secret of every kind, each of which can be recognised, is used well and badly; then none of
//! them is in anything that it says, writes or starts, in whatever encoding.
//!
//! What is looked at: answers to everybody on every route, the log at its most talkative, spans, the files that it keeps, the
//! arguments and environments of its programs, and what the commands of a person say. What may have a secret: its own file,
//! and the request that must carry it.

mod cage;
mod service;

use std::path::Path;

use headwater_server::settings::{Flags, load};
use headwater_tests::authority::Authority;

use crate::command::{program, told};

use self::cage::Cage;

fn nothing_tells(format: &str, push_method: &str, may_be_in_environments: &[&str]) {
    let cage = Cage::new(push_method);
    let service = cage.start(format);
    let commit = service.used_well();
    service.used_badly(&commit);
    service.others_fail();
    service.looked_at(&commit);
    service.commands();
    service.ended(may_be_in_environments);
}

#[test]
fn no_secret_is_told_by_a_service_that_logs_text() {
    nothing_tells("text", "receive-pack", &[]);
}

/// The program `git` is given the one credential that it must send in its environment, which this user alone can read.
#[test]
fn no_secret_is_told_by_a_service_that_logs_json_and_pushes_by_the_program() {
    nothing_tells("json", "git", &["password"]);
}

#[test]
fn settings_with_all_their_secrets_print_none_and_are_checked_without_a_word_of_them() {
    let cage = Cage::new("receive-pack");
    let mut checked = cage.command(&["serve", "--settings", "settings.toml", "--check-settings"]);
    let said = told(&mut checked);
    assert!(said.starts_with("exit 0"), "{said}");
    cage.canaries
        .assert_none("the check of good settings", said.as_bytes());
    let good = std::fs::read_to_string(cage.path("settings.toml")).unwrap();
    // Settings as a whole; relative paths are those of the directory of the file.
    let absolute = good
        .lines()
        .map(|line| match line.split_once("_file = \"") {
            Some((key, name)) => format!("{key}_file = \"{}/{name}\n", cage.dir.path().display()),
            None => format!("{line}\n"),
        })
        .collect::<String>();
    cage.write("absolute.toml", &absolute);
    let flags = Flags {
        file: Some(cage.path("absolute.toml")),
        ..Flags::default()
    };
    let environment: Vec<(String, String)> = cage
        .variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    let settings = load(&flags, &environment).unwrap();
    assert_eq!(settings.alerts.len(), 3);
    cage.canaries
        .assert_none("settings", format!("{settings:?} {settings:#?}").as_bytes());
    mistakes_are_told_without_a_secret(&cage, &good);
    tokens_that_stand_where_digests_should(&cage);
}

fn mistakes_are_told_without_a_secret(cage: &Cage, good: &str) {
    let secret = &cage.password;
    for (mistake, text) in [
        (
            "a key that there is not",
            good.replace(
                "password_file = \"password\"",
                &format!("password = \"{secret}\""),
            ),
        ),
        ("an address that is none", good.replace("/nowhere.git", "")),
        ("no TOML", good.replace("/nowhere.git\"", "/nowhere.git")),
        (
            "two of one key",
            good.replace("/nowhere.git\"", "/nowhere.git\"\nurl = \"x\""),
        ),
        ("another scheme", good.replace("http://robot:", "gopher://robot:")),
        (
            "a password for ssh",
            good.replace("http://robot:", "ssh://robot:"),
        ),
        (
            "a place in an address",
            good.replace("http://127.0.0.1:1", &format!("http://x:{secret}@127.0.0.1:1")),
        ),
        (
            "a collector",
            good.replace(
                "endpoint = \"http://",
                &format!("otlp_endpoint = \"http://x:{secret}@"),
            ),
        ),
        ("a list", good.replace("http://robot:", "[http://robot:")),
    ] {
        assert_ne!(text, good, "{mistake}");
        cage.write("bad.toml", &text);
        let mut checked = cage.command(&["serve", "--settings", "bad.toml", "--check-settings"]);
        let said = told(&mut checked);
        assert!(said.starts_with("exit 1"), "{mistake}: {said}");
        cage.canaries.assert_none(mistake, said.as_bytes());
    }
    // What is no address in the file of one is a mistake as well.
    cage.write("chat", &format!("chat.example.test/{secret}"));
    let said = told(&mut cage.command(&["serve", "--settings", "settings.toml", "--check-settings"]));
    assert!(said.starts_with("exit 1"), "{said}");
    cage.canaries
        .assert_none("a secret address that is none", said.as_bytes());
    for (name, value) in [
        ("HEADWATER_REPO", format!("https://robot:{secret}@")),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            format!("http://x:{secret}@127.0.0.1:1"),
        ),
    ] {
        let mut command = program(cage.dir.path());
        let said = told(command.env(name, value).args(["serve", "--check-settings"]));
        cage.canaries.assert_none(name, said.as_bytes());
    }
}

fn tokens_that_stand_where_digests_should(cage: &Cage) {
    let token = cage.token("admin");
    for text in [
        format!("[[token]]\nname = \"x\"\nrole = \"admin\"\ndigest = \"{token}\"\n"),
        format!("[[token]]\nname = \"x\"\nrole = \"admin\"\ntoken = \"{token}\"\n"),
        format!("{token}\n"),
        format!("[[token]]\nname = \"x\"\nrole = \"admin\"\ndigest = \"sha256:{token}\n"),
    ] {
        cage.write("tokens.toml", &text);
        let said = told(&mut cage.command(&["serve", "--settings", "settings.toml"]));
        assert!(!said.starts_with("exit 0"), "{said}");
        cage.canaries.assert_none("a file of tokens", said.as_bytes());
        let said = told(&mut cage.command(&["token", "list", "--file", "tokens.toml"]));
        cage.canaries.assert_none("a list of tokens", said.as_bytes());
    }
}

#[test]
fn neither_a_key_of_tls_nor_a_token_is_told_by_a_service_and_its_clients_that_speak_tls() {
    let mut cage = Cage::new("receive-pack");
    let authority = Authority::new();
    let signed = authority.signs_host(&["localhost"]);
    signed.put(cage.dir.path(), "tls");
    cage.write("ca.pem", authority.pem());
    cage.watch_pem("TLS key", &signed.key_pem);
    let text = std::fs::read_to_string(cage.path("settings.toml")).unwrap();
    cage.write(
        "settings.toml",
        &format!("{text}\n[tls]\ncert_file = \"tls.pem\"\nkey_file = \"tls.key\"\n"),
    );
    let service = cage.start("text");
    let server = format!("https://localhost:{}", service.addr.port());
    cage.origin.commit(&[("app.json", Some("{\"v\": 1}"))], "first");
    for token in ["token-reader", "token-instance"] {
        for args in [&["configs"][..], &["status"], &["log"]] {
            let mut command =
                cage.command(&["--server", &server, "--ca-file", "ca.pem", "--token-file", token]);
            cage.says_nothing(args[0], command.args(["--repo", "default"]).args(args));
        }
    }
    headwater_tests::http::raw(service.addr, b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
    drop(service);
    let log = std::fs::read(cage.path("log")).unwrap();
    assert!(log.len() > 1_000);
    cage.canaries.assert_none("the log", &log);
    // A key that belongs to no certificate, and one that is cut.
    for key in [
        authority.signs_host(&["localhost"]).key_pem,
        signed.key_pem.split_at(120).0.to_owned(),
    ] {
        cage.watch_pem("another TLS key", &key);
        cage.write("tls.key", &key);
        let said = told(&mut cage.command(&["serve", "--settings", "settings.toml", "--check-settings"]));
        assert!(said.starts_with("exit 1"), "{said}");
        cage.canaries
            .assert_none("a key that does not fit", said.as_bytes());
    }
    assert!(Path::new("/proc/self").exists(), "processes can be looked at");
}
