//! Which request is a watch: bytes to a decision.
//!
//! Invariant: a head is a watch only if every line of it is one that two readers of HTTP/1.1 cannot read differently, and
//! none of its headers says something of the message's length or of the connection but `close` and `keep-alive`. Its bytes
//! are read by the parser that the library has. What is deliberately absent: whether there is what is asked for, which
//! the routes say.

use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};

/// How every watch begins.
const BEGIN: &[u8] = b"GET /v1/repos/";
/// Bytes of a head beyond which it is left to the library.
const HEAD_BYTES_MAX: usize = 8 << 10;
/// Headers beyond which it is.
const HEADERS_MAX: usize = 32;
/// Headers with which it is: what they say of the message or the connection is the library's to know.
const UNUSUAL: [&str; 8] = [
    "content-length",
    "transfer-encoding",
    "expect",
    "upgrade",
    "te",
    "trailer",
    "http2-settings",
    "proxy-connection",
];

/// What is known of bytes that came.
pub(super) enum Head {
    /// A watch.
    Watch(Box<Asked>),
    /// Maybe a watch, once more has come.
    Begun,
    /// No watch, or not for certain.
    Other,
}

/// A watch.
pub(super) struct Asked {
    /// The request.
    pub request: Request<Body>,
    /// Bytes of its head, which is all of it.
    pub bytes: usize,
    /// The connection ends with its answer.
    pub is_last: bool,
}

/// Where a head ends.
enum End {
    /// Before this place.
    Before(usize),
    /// It has not come yet.
    Later,
    /// A line ends otherwise than lines do.
    Unclear,
}

/// Looks at the bytes of a connection, of which so many were looked at before.
pub(super) fn read(bytes: &[u8], looked_at: usize) -> Head {
    let common = bytes.len().min(BEGIN.len());
    if bytes.get(..common) != BEGIN.get(..common) {
        return Head::Other;
    }
    match end(bytes, looked_at) {
        End::Before(end) if end <= HEAD_BYTES_MAX => {
            let asked = bytes.get(..end).and_then(asked);
            asked.map_or(Head::Other, |asked| Head::Watch(Box::new(asked)))
        }
        End::Later if goes_on(bytes) => Head::Begun,
        End::Before(_) | End::Later | End::Unclear => Head::Other,
    }
}

/// Whether more is waited for: who asks for something else is not kept until he has said all of it.
fn goes_on(bytes: &[u8]) -> bool {
    let line = bytes.iter().position(|byte| *byte == b'\n');
    let line = line.and_then(|end| bytes.get(..end));
    bytes.len() < HEAD_BYTES_MAX && line.is_none_or(|line| target(line).is_some())
}

fn end(bytes: &[u8], looked_at: usize) -> End {
    for (at, byte) in bytes.iter().enumerate().skip(looked_at) {
        if *byte != b'\n' {
            continue;
        }
        let before = bytes.get(..at).unwrap_or_default();
        if !before.ends_with(b"\r") {
            return End::Unclear;
        }
        if before.ends_with(b"\r\n\r") {
            return End::Before(at + 1);
        }
    }
    End::Later
}

/// What a request line asks for, if those who ask for it wait.
fn target(line: &[u8]) -> Option<&str> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let target = line.strip_prefix(b"GET ")?.strip_suffix(b" HTTP/1.1")?;
    let target = std::str::from_utf8(target).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let is_plain = target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    let waits = path.ends_with("/events") || (path.contains("/configs/") && query.contains("wait="));
    (is_plain && waits).then_some(target)
}

/// The request of a whole head, if it is a watch.
fn asked(head: &[u8]) -> Option<Asked> {
    let line = head.split(|byte| *byte == b'\n').next()?;
    let target = target(line)?;
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    let read = parsed.parse(head).ok()?;
    let whole = read == httparse::Status::Complete(head.len());
    if !whole || (parsed.method, parsed.path, parsed.version) != (Some("GET"), Some(target), Some(1)) {
        return None;
    }
    let mut map = HeaderMap::with_capacity(parsed.headers.len());
    for header in parsed.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        map.append(name, HeaderValue::from_bytes(header.value).ok()?);
    }
    let is_last = ends(&map)?;
    let mut request = Request::new(Body::empty());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = Uri::try_from(target).ok()?;
    *request.version_mut() = Version::HTTP_11;
    *request.headers_mut() = map;
    Some(Asked {
        request,
        bytes: head.len(),
        is_last,
    })
}

/// Whether the connection ends with the answer; `None` if that is not all that headers say of it.
fn ends(headers: &HeaderMap) -> Option<bool> {
    if UNUSUAL.iter().any(|name| headers.contains_key(*name)) || headers.get_all("host").iter().count() != 1 {
        return None;
    }
    let mut is_last = false;
    for value in headers.get_all("connection") {
        for word in value.to_str().ok()?.split(',').map(str::trim) {
            match word {
                _ if word.eq_ignore_ascii_case("close") => is_last = true,
                _ if word.eq_ignore_ascii_case("keep-alive") => {}
                _ => return None,
            }
        }
    }
    Some(is_last)
}
