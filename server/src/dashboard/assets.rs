//! Files that pages load: embedded, and named by their content, so that a browser never mixes two releases.
//!
//! Invariant: nothing is loaded from elsewhere. htmx 4.0.1 and its extension for events are as their authors published
//! them; `assets/htmx.LICENSE` is their licence.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

/// One embedded file.
struct Asset {
    /// Address, with the beginning of its digest.
    name: String,
    media_type: &'static str,
    text: &'static str,
}

/// Where the files of a page are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addresses {
    /// Style sheet.
    pub style: &'static str,
    /// htmx.
    pub htmx: &'static str,
    /// Its extension for events.
    pub sse: &'static str,
    /// What tells whether a page is live.
    pub live: &'static str,
    /// Icon.
    pub icon: &'static str,
}

static ASSETS: LazyLock<[Asset; 5]> = LazyLock::new(|| {
    [
        asset("style", "css", include_str!("assets/style.css")),
        asset("htmx", "js", include_str!("assets/htmx.min.js")),
        asset("hx-sse", "js", include_str!("assets/hx-sse.min.js")),
        asset("live", "js", include_str!("assets/live.js")),
        asset("icon", "svg", include_str!("assets/icon.svg")),
    ]
});

fn asset(stem: &str, extension: &str, text: &'static str) -> Asset {
    let digest: String = headwater_render::digest(text).hex().chars().take(12).collect();
    Asset {
        name: format!("/assets/{stem}.{digest}.{extension}"),
        media_type: match extension {
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            _ => "text/javascript; charset=utf-8",
        },
        text,
    }
}

/// The addresses that pages name.
pub(super) fn addresses() -> Addresses {
    let [style, htmx, sse, live, icon] = &*ASSETS;
    Addresses {
        style: &style.name,
        htmx: &htmx.name,
        sse: &sse.name,
        live: &live.name,
        icon: &icon.name,
    }
}

/// `GET /assets/{name}`.
pub(super) async fn get(Path(name): Path<String>) -> Response {
    let found = ASSETS
        .iter()
        .find(|asset| asset.name.strip_prefix("/assets/") == Some(name.as_str()));
    match found {
        Some(asset) => {
            let headers = [
                (CONTENT_TYPE, asset.media_type),
                (CACHE_CONTROL, "public, max-age=31536000, immutable"),
            ];
            (headers, asset.text).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
