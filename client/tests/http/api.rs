use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use headwater_client::{Api, ApiError, BearerToken, ConfigQuery, Fetched, Format, Token};
use headwater_wire::{AcceptRequest, ChangeKind, HeadState, ProblemCode, RepoView};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use tokio::net::TcpListener;

use crate::server::{A, B, DIGEST, Step, client, scripted, send, serve, told};

fn repo_json() -> String {
    format!(
        r#"{{"name":"default","url":"https://forge.example/config","branch":"main","tip":"{A}","head":"{B}",
        "head_state":"rejected","source_state":"ok","synced_at":"2026-01-31T12:00:00Z","stale":false,"configs":3,
        "something_new":1}}"#
    )
}

fn ok(body: &str) -> Step {
    send(format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

async fn view_of(script: Vec<Step>) -> (Result<RepoView, ApiError>, String) {
    let (repo, _requests) = scripted(vec![script]).await;
    (repo.view().await, repo.server())
}

#[tokio::test]
async fn a_repository_is_read_and_unknown_fields_are_ignored() {
    let view = view_of(vec![ok(&repo_json())]).await.0.unwrap();
    assert_eq!((view.head_state, view.configs), (HeadState::Rejected, 3));
}

#[tokio::test]
async fn a_config_comes_with_what_its_headers_say_and_then_is_not_modified() {
    async fn config(headers: HeaderMap, request: Request) -> impl IntoResponse {
        assert_eq!(request.uri().path(), "/v1/repos/default/configs/pay%20ments/prod");
        assert_eq!(
            request.uri().query(),
            Some("instance=i-1&label.region=eu%2Fwest&wait=7")
        );
        let answer = [
            ("etag", "\"t1\""),
            ("headwater-version", A),
            ("headwater-tip", B),
            ("headwater-change", "rollback"),
            ("headwater-head-state", "published"),
            ("headwater-synced-at", "2026-01-31T12:00:00Z"),
            ("headwater-stale", "true"),
        ];
        let held = headers
            .get(header::IF_NONE_MATCH)
            .is_some_and(|held| held == "\"t1\"");
        let status = if held {
            StatusCode::NOT_MODIFIED
        } else {
            StatusCode::OK
        };
        let body = format!(
            r#"{{"repo":"default","config":"pay ments/prod","version":"{A}","tip":"{B}","digest":"{DIGEST}",
            "generation":4,"phase":"active","document":{{"a":1}},"sources":["a.toml"]}}"#
        );
        (status, answer, if held { String::new() } else { body })
    }
    let repo = serve(Router::new().route("/v1/repos/default/configs/{*config}", get(config))).await;
    let mut query = ConfigQuery {
        instance: Some("i-1".parse().unwrap()),
        labels: [("region".to_owned(), "eu/west".to_owned())].into(),
        wait: Some(Duration::from_secs(7)),
        ..ConfigQuery::default()
    };
    let name = "pay ments/prod".parse().unwrap();
    let Fetched::Modified(answer) = repo.config(&name, &query).await.unwrap() else {
        panic!("not modified")
    };
    assert_eq!(answer.snapshot().unwrap().document, serde_json::json!({"a": 1}));
    assert_eq!(answer.standing.change, Some(ChangeKind::Rollback));
    assert_eq!(answer.standing.tip.as_ref().unwrap().as_str(), B);
    assert!(answer.standing.stale);
    query.if_none_match = answer.standing.token.clone();
    assert_eq!(
        repo.config(&name, &query).await.unwrap(),
        Fetched::NotModified(answer.standing)
    );
}

#[tokio::test]
async fn the_other_calls_spell_their_addresses() {
    let (repo, mut requests) = scripted(vec![vec![ok("{}")]]).await;
    let (config, commit) = ("a/b".parse().unwrap(), A.parse().unwrap());
    let query = ConfigQuery {
        format: Some(Format::Toml),
        pointer: Some("/a~1b".into()),
        ..ConfigQuery::default()
    };
    repo.config_at(&commit, &config, &query).await.unwrap();
    repo.file_at(&commit, &"dir/a b.toml".parse().unwrap())
        .await
        .unwrap();
    repo.commit("release/1.2~1").await.unwrap_err();
    repo.accept(&accept()).await.unwrap_err();
    repo.check("x").await.unwrap_err();
    let mut lines = Vec::new();
    while let Ok(request) = requests.try_recv() {
        lines.push(request.lines().next().unwrap().to_owned());
    }
    insta::assert_snapshot!(lines.join("\n"), @r"
    GET /v1/repos/default/commits/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/configs/a/b?pointer=%2Fa~1b&format=toml HTTP/1.1
    GET /v1/repos/default/commits/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/files/dir/a%20b.toml HTTP/1.1
    GET /v1/repos/default/commits/release%2F1.2~1 HTTP/1.1
    POST /v1/repos/default/accept HTTP/1.1
    POST /v1/repos/default/checks HTTP/1.1
    ");
}

#[tokio::test]
async fn the_token_is_sent_with_every_request_and_shown_nowhere() {
    async fn whoami(headers: HeaderMap) -> String {
        assert_eq!(headers[header::AUTHORIZATION], "Bearer s3cret");
        r#"{"repos":[]}"#.to_owned()
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/v1/repos", get(whoami))).await });
    let token: BearerToken = "s3cret".parse().unwrap();
    let api = Api::builder(&server).token(Some(token)).build().unwrap();
    assert!(api.repos().await.unwrap().repos.is_empty());
    assert!(!format!("{api:?}").contains("s3cret"));
}

#[tokio::test]
async fn a_problem_keeps_its_words_code_and_time_to_come_back() {
    async fn refuse() -> impl IntoResponse {
        let body = r#"{"code":"head_moved","status":409,"title":"the head is another one now","detail":"the head is `bbbb` now","hint":"look again","actual":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"}"#;
        (
            StatusCode::CONFLICT,
            [("content-type", "application/problem+json"), ("retry-after", "7")],
            body,
        )
    }
    let repo = serve(Router::new().route("/v1/repos/default/accept", post(refuse))).await;
    let error = repo.accept(&accept()).await.unwrap_err();
    assert_eq!(error.code(), Some(ProblemCode::HeadMoved));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    assert!(error.is_refusal() && error.is_permanent());
    insta::assert_snapshot!(told(&error, "http://never"), @r"
    the head is `bbbb` now
    hint: look again
    ");
}

#[tokio::test]
async fn a_refused_connection_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = client(&server).view().await.unwrap_err();
    assert!(matches!(error, ApiError::Unreachable { .. }));
    insta::assert_snapshot!(told(&error, &server), @r"
    cannot reach the server at `SERVER`
    cause: Connection refused (os error 111)
    hint: is the server running? name another one with `--server` or `HEADWATER_SERVER`
    ");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_given_up_after_the_deadline_and_the_wait() {
    let (repo, _requests) = scripted(vec![vec![Step::Hang]]).await;
    let query = ConfigQuery {
        wait: Some(Duration::from_secs(30)),
        ..ConfigQuery::default()
    };
    let started = tokio::time::Instant::now();
    let error = repo.config(&"a".parse().unwrap(), &query).await.unwrap_err();
    assert_eq!(started.elapsed().as_secs(), 40);
    insta::assert_snapshot!(told(&error, &repo.server()), @r"
    no answer within 40 s from `SERVER`
    hint: check the address and the network between; the server may also be overloaded
    ");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_stops_in_the_middle_is_given_up() {
    let (answer, server) = view_of(vec![
        send("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"),
        Step::Hang,
    ])
    .await;
    insta::assert_snapshot!(told(&answer.unwrap_err(), &server), @r"
    the answer did not end within 10 s from `SERVER`
    hint: try again; if it stays, look for a proxy that cuts or holds back answers
    ");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_drips_is_given_up_after_a_minute() {
    let mut script = vec![send("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n")];
    for _ in 0..99 {
        script.extend([send(" "), Step::Pause(Duration::from_secs(8))]);
    }
    let started = tokio::time::Instant::now();
    let (answer, server) = view_of(script).await;
    assert_eq!(started.elapsed().as_secs(), 60);
    insta::assert_snapshot!(told(&answer.unwrap_err(), &server), @r"
    the answer did not end within 60 s from `SERVER`
    hint: try again; if it stays, look for a proxy that cuts or holds back answers
    ");
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_told_apart() {
    let (answer, server) = view_of(vec![send("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{")]).await;
    insta::assert_snapshot!(told(&answer.unwrap_err(), &server), @r"
    the connection to `SERVER` broke off
    cause: error reading a body from connection
    hint: try again; if it stays, look for a proxy that cuts or holds back answers
    ");
    let (answer, _) = view_of(vec![]).await;
    assert!(matches!(answer.unwrap_err(), ApiError::CutOff { .. }));
}

#[tokio::test]
async fn what_is_no_http_and_what_is_no_json_is_malformed() {
    let (answer, server) = view_of(vec![send("SSH-2.0-OpenSSH_9.9\r\n\r\n")]).await;
    insta::assert_snapshot!(told(&answer.unwrap_err(), &server), @r"
    the answer of `SERVER` cannot be read as an HTTP answer
    cause: invalid HTTP version parsed
    hint: is this the address of a Headwater server, or of a proxy or another program?
    ");
    let (answer, server) = view_of(vec![ok("<html>sign in</html>")]).await;
    insta::assert_snapshot!(told(&answer.unwrap_err(), &server), @r"
    the answer of `SERVER` cannot be read as a repository
    cause: expected value at line 1 column 1
    hint: is this the address of a Headwater server, or of a proxy or another program?
    ");
}

#[tokio::test]
async fn an_error_page_of_a_proxy_is_no_refusal_of_headwater() {
    let page = send("HTTP/1.1 502 Bad Gateway\r\nretry-after: 3\r\ncontent-length: 4\r\n\r\noops");
    let (answer, server) = view_of(vec![page]).await;
    let error = answer.unwrap_err();
    assert!(!error.is_refusal());
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));
    insta::assert_snapshot!(told(&error, &server), @r"
    `SERVER` answered with status 502, and not as Headwater does
    hint: is this the address of a Headwater server, or of a proxy or another program?
    ");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let to = send("HTTP/1.1 302 Found\r\nlocation: https://evil.example/\r\ncontent-length: 0\r\n\r\n");
    let (answer, server) = view_of(vec![to]).await;
    insta::assert_snapshot!(told(&answer.unwrap_err(), &server), @r"
    `SERVER` answered with status 302, and not as Headwater does
    hint: redirects are not followed; if you trust it, use the address it names: https://evil.example/
    ");
}

#[tokio::test]
async fn an_answer_beyond_the_limit_is_refused_whether_or_not_it_says_its_length() {
    let (answer, server) = view_of(vec![
        send("HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n"),
        Step::Hang,
    ])
    .await;
    insta::assert_snapshot!(told(&answer.unwrap_err(), &server), @r"
    the answer of `SERVER` is larger than 16777216 bytes
    hint: ask for one value with a pointer, or for fewer at a time
    ");
    let chunk = [b"100000\r\n".as_slice(), &vec![b' '; 1 << 20], b"\r\n"].concat();
    let mut script = vec![send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")];
    script.extend(std::iter::repeat_n(send(chunk), 17));
    let (answer, _) = view_of(script).await;
    assert!(matches!(answer.unwrap_err(), ApiError::TooLarge { .. }));
}

/// Serves one TLS handshake after the other with a fresh certificate for `localhost`; gives the certificate.
async fn serve_tls() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).unwrap();
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let Ok(mut tls) = acceptor.accept(socket).await else {
                continue;
            };
            let mut request = [0; 4_096];
            let read = tokio::io::AsyncReadExt::read(&mut tls, &mut request).await;
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n{\"repos\":[]}";
            let written = tokio::io::AsyncWriteExt::write_all(&mut tls, answer).await;
            drop((read, written));
        }
    });
    (server, made.cert.pem())
}

#[tokio::test]
async fn https_works_with_the_authority_that_was_named_and_not_without() {
    let (server, pem) = serve_tls().await;
    let api = Api::builder(&server)
        .ca_pem(Some(pem.into_bytes()))
        .build()
        .unwrap();
    assert!(api.repos().await.unwrap().repos.is_empty());
    let (other, _) = serve_tls().await;
    let error = Api::builder(&other)
        .ca_pem(Some(
            rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])
                .unwrap()
                .cert
                .pem()
                .into(),
        ))
        .build()
        .unwrap()
        .repos()
        .await
        .unwrap_err();
    insta::assert_snapshot!(told(&error, &other), @r"
    cannot trust the server at `SERVER`
    cause: invalid peer certificate: BadSignature
    hint: give its authority's certificate with `--ca-file`, and ask by a name that its certificate has
    ");
}

#[tokio::test]
async fn https_against_a_server_without_tls_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut socket, b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
        std::future::pending::<()>().await;
    });
    let pem = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])
        .unwrap()
        .cert
        .pem();
    let error = Api::builder(&server)
        .ca_pem(Some(pem.into()))
        .build()
        .unwrap()
        .repos()
        .await
        .unwrap_err();
    insta::assert_snapshot!(told(&error, &server), @r"
    cannot trust the server at `SERVER`
    cause: received corrupt message of type InvalidContentType
    hint: give its authority's certificate with `--ca-file`, and ask by a name that its certificate has
    ");
}

#[test]
fn a_file_without_certificates_is_no_authority() {
    let error = Api::builder("https://h")
        .ca_pem(Some(b"hello".to_vec()))
        .build()
        .unwrap_err();
    assert_eq!(error.to_string(), "cannot read the certificates of the authority");
}

#[test]
fn a_token_text_is_opaque() {
    assert_eq!(Token::new("W/\"x\"").to_string(), "x");
}

fn accept() -> AcceptRequest {
    AcceptRequest {
        head: A.parse().unwrap(),
        reason: "seen".to_owned(),
        requested_by: None,
    }
}
