//! Servers of a test, on port 0 of the loopback.

use std::time::Duration;

use axum::Router;
use headwater_client::{Api, ApiError, RepoApi};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

pub(crate) const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
pub(crate) const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
pub(crate) const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Serves `router` and gives a client of it.
pub(crate) async fn serve(router: Router) -> RepoApi {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    client(&format!("http://{address}"))
}

pub(crate) fn client(server: &str) -> RepoApi {
    Api::builder(server)
        .build()
        .unwrap()
        .in_repo(&"default".parse().unwrap())
}

/// What a scripted connection does, one step after the other.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Sends nothing for so long.
    Pause(Duration),
    /// Keeps the connection open for ever.
    Hang,
    /// Breaks the connection off, so that the peer gets a reset.
    Reset,
}

pub(crate) fn send(text: impl Into<Vec<u8>>) -> Step {
    Step::Send(text.into())
}

/// A server whose n-th connection follows the n-th script; the last one repeats. Gives the requests it has read.
pub(crate) async fn scripted(scripts: Vec<Vec<Step>>) -> (RepoApi, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, requests) = mpsc::channel(100);
    tokio::spawn(async move {
        for index in 0.. {
            let (socket, _) = listener.accept().await.unwrap();
            let script = scripts.get(index).or(scripts.last()).unwrap().clone();
            tokio::spawn(play(socket, script, sender.clone()));
        }
    });
    (client(&format!("http://{address}")), requests)
}

async fn play(mut socket: TcpStream, script: Vec<Step>, requests: mpsc::Sender<String>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match socket.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return,
        }
    }
    let sent = requests.try_send(String::from_utf8(request).unwrap());
    drop(sent);
    for step in script {
        match step {
            Step::Send(bytes) if socket.write_all(&bytes).await.is_err() => return,
            Step::Send(_) => {}
            Step::Pause(pause) => tokio::time::sleep(pause).await,
            Step::Hang => std::future::pending().await,
            Step::Reset => return socket.set_zero_linger().unwrap(),
        }
    }
}

/// Error and hint, with the port taken out, as a person reads them.
pub(crate) fn told(error: &ApiError, repo_server: &str) -> String {
    let source = std::error::Error::source(error)
        .map(|source| format!("\ncause: {source}"))
        .unwrap_or_default();
    let hint = error
        .hint()
        .map(|hint| format!("\nhint: {hint}"))
        .unwrap_or_default();
    format!("{error}{source}{hint}").replace(repo_server, "SERVER")
}
