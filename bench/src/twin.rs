//! The service's HTTP library with one route and nothing round it: what a read costs before anything is done for it.

use std::net::SocketAddr;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use bytes::Bytes;
use tokio::net::TcpListener;

use crate::failure::Failure;

/// Serves the same bytes to every request, from one thread, for ever.
#[expect(clippy::print_stdout, reason = "the address goes to who started this")]
pub(crate) fn serve(bytes: usize) -> Result<(), Failure> {
    let body = Bytes::from(vec![b'x'; bytes]);
    let answer = move || {
        let body = body.clone();
        async move { ([(CONTENT_TYPE, "application/json")], body) }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        println!("listening on http://{}", listener.local_addr()?);
        Ok(axum::serve(listener, Router::new().route("/", get(answer))).await?)
    })
}
