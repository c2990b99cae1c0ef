//! A service that gives everybody one answer and keeps what it was asked, for tests.
//!
//! Invariant: it speaks HTTP on a port of its own, so that what calls it is tested with the client that runs in earnest.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse;
use http::StatusCode;

/// One request as it arrived.
#[derive(Debug, Clone, Default)]
pub(crate) struct Arrived {
    pub path: String,
    pub authorization: String,
    pub signature: String,
    pub body: String,
}

/// The service.
#[derive(Debug, Clone)]
pub(crate) struct Receiver {
    pub url: String,
    arrived: Arc<Mutex<Vec<Arrived>>>,
}

impl Receiver {
    pub(crate) async fn answering(status: u16, body: impl Into<String>) -> Self {
        let body = body.into();
        Self::with(move || (StatusCode::from_u16(status).unwrap(), body.clone())).await
    }

    pub(crate) async fn with<R: IntoResponse>(
        answer: impl Fn() -> R + Clone + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            arrived: Arc::default(),
        };
        let arrived = service.arrived.clone();
        let router = Router::new().fallback(move |request: Request| {
            let (answer, arrived) = (answer.clone(), arrived.clone());
            async move {
                let (parts, body) = request.into_parts();
                let header = |name: &str| {
                    let value = parts.headers.get(name).map(|value| value.to_str().unwrap());
                    value.unwrap_or_default().to_owned()
                };
                let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
                arrived
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(Arrived {
                        path: parts.uri.to_string(),
                        authorization: header("authorization"),
                        signature: header("headwater-signature"),
                        body: String::from_utf8(bytes.to_vec()).unwrap(),
                    });
                answer()
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        service
    }

    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        self.arrived
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
