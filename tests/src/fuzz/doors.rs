//! What comes in by requests: webhooks, tokens, queries, reports; and what a client reads of a server.

use std::fmt::Write as _;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use headwater_client::{Item, Parser};
use headwater_server::forge::{ForgeKind, Message};
use headwater_server::fuzzed;
use headwater_server::secret::{Secret, UpstreamUrl};
use headwater_wire::{BranchName, InstanceReport, Problem, Timestamp};
use http::{HeaderMap, HeaderName, HeaderValue};

const SECRET: &str = "a secret of at least sixteen bytes";
/// The key of RFC 8037, appendix A.
const KEYS: &[u8] = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

/// Lines of headers, an empty line, and the rest.
fn request(bytes: &[u8]) -> (HeaderMap, &[u8]) {
    let (mut headers, mut rest) = (HeaderMap::new(), bytes);
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, after) = (&rest[..end], &rest[end + 1..]);
        rest = after;
        if line.is_empty() {
            break;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    (headers, rest)
}

fn hmac_of(parts: &[&[u8]]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    hmac::sign(&key, &parts.concat()).as_ref().to_vec()
}

fn sign(forge: ForgeKind, headers: &mut HeaderMap, body: &[u8]) {
    let tag = hmac_of(&[body]);
    let mut hex = String::new();
    for byte in tag {
        write!(hex, "{byte:02x}").expect("a string takes everything");
    }
    let (name, value) = match forge {
        ForgeKind::GitHub => ("x-hub-signature-256", format!("sha256={hex}")),
        ForgeKind::BitbucketCloud | ForgeKind::BitbucketDataCenter => {
            ("x-hub-signature", format!("sha256={hex}"))
        }
        ForgeKind::Gitea => ("x-gitea-signature", hex),
        ForgeKind::Forgejo => ("x-forgejo-signature", hex),
        ForgeKind::Gogs => ("x-gogs-signature", hex),
        ForgeKind::GitLab => ("x-gitlab-token", SECRET.to_owned()),
        ForgeKind::Generic => {
            headers.insert("webhook-id", HeaderValue::from_static("msg_1"));
            headers.insert("webhook-timestamp", HeaderValue::from_static("0"));
            let tag = hmac_of(&[b"msg_1.0.", body]);
            ("webhook-signature", format!("v1,{}", STANDARD.encode(tag)))
        }
    };
    headers.insert(name, value.parse().expect("a value of a header"));
}

/// Nothing that is not signed is read; what is signed is read if, and only if, it is an object, and its words mean what
/// they mean without a panic.
pub(super) fn webhook(forge: ForgeKind, bytes: &[u8]) {
    let (mut headers, body) = request(bytes);
    let secrets = [Secret::new(SECRET)];
    let now = Timestamp(0);
    let unsigned = Message {
        forge,
        headers: &headers,
        body,
    };
    assert!(
        unsigned.verify(&secrets, now).is_none(),
        "what nobody signed was taken"
    );
    sign(forge, &mut headers, body);
    let message = Message {
        forge,
        headers: &headers,
        body,
    };
    let said = headers.get("content-type").and_then(|value| value.to_str().ok());
    let is_json = said.is_some_and(|said| said.eq_ignore_ascii_case("application/json"));
    let Some(verified) = message.verify(&secrets, now) else {
        assert!(!is_json, "what was signed was refused");
        return;
    };
    let read = verified.parse();
    if is_json {
        let value: Option<serde_json::Value> = serde_json::from_slice(body).ok();
        assert_eq!(read.is_ok(), value.is_some_and(|value| value.is_object()));
    }
    if let Ok(delivery) = read {
        assert!(delivery.id.is_none_or(|id| (1..=200).contains(&id.len())));
        let (main, url): (Option<BranchName>, Option<UpstreamUrl>) =
            ("main".parse().ok(), "https://h.example.test/a/b".parse().ok());
        delivery.event.meaning(main.as_ref());
        delivery.event.meaning(None);
        if let Some(url) = url {
            delivery.repository.is(&url, None);
        }
    }
}

/// Whatever is read as a token has the one form that tokens have, and no other text has its digest.
pub(super) fn token(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Some(digest) = fuzzed::bearer_token(&text) {
        assert!(text.len() == 75 && text.starts_with("hw_"), "{text}");
        let other = text.to_ascii_uppercase();
        assert!(digest.starts_with("sha256:") && fuzzed::bearer_token(&other).is_none());
    }
}

/// Whatever is sent, it is signed by the one key of a set of which nobody has the other half; `none` is no algorithm.
/// Texts without a dot are the first two parts of one, so that the JSON is reached.
pub(super) fn json_web_token(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let is_signed = |text: &str| fuzzed::json_web_token(text, KEYS);
    let (head, claims) = text.split_once('\n').unwrap_or((&text, "{}"));
    let (head, claims) = (URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(claims));
    for text in [
        &*text,
        &format!("{head}.{claims}."),
        &format!("{head}.{claims}.AAAA"),
    ] {
        if let Some((algorithm, is_signed)) = is_signed(text) {
            assert!(matches!(algorithm, "RS256" | "ES256" | "EdDSA"));
            assert!(!is_signed, "{text} is signed by a key that nobody has");
        }
    }
    // The set of keys is the word of an issuer.
    fuzzed::json_web_token("e30.e30.", bytes);
}

/// A file that is read is written so that it is read again, as the same.
pub(super) fn tokens_file(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(written) = fuzzed::tokens_file(&text) {
        assert_eq!(fuzzed::tokens_file(&written).as_ref(), Ok(&written));
    }
}

/// No pair has a text that was broken.
pub(super) fn query(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for (name, value) in fuzzed::query(&text).unwrap_or_default() {
        assert!(!name.contains('\u{fffd}') && !value.contains('\u{fffd}'));
    }
}

/// What is read is bounded and read again from what is written; what is not, is told in one line.
fn reported(
    read: Result<InstanceReport, Box<Problem>>,
    again: fn(&InstanceReport) -> Result<InstanceReport, Box<Problem>>,
) {
    match read {
        Ok(report) => {
            assert!(report.seq < 1 << 53 && report.incarnation < 1 << 53);
            assert_eq!(again(&report), Ok(report));
        }
        Err(problem) => {
            let detail = problem.detail.unwrap_or_default();
            assert!(!detail.chars().any(char::is_control), "{detail}");
        }
    }
}

pub(super) fn report(bytes: &[u8]) {
    reported(fuzzed::report(bytes), |report| {
        fuzzed::report(&serde_json::to_vec(report).expect("a report"))
    });
}

pub(super) fn socket_message(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    reported(fuzzed::socket_message(&text), |report| {
        fuzzed::socket_message(&serde_json::json!({ "report": report }).to_string())
    });
}

/// What is handed on is exactly what the standard says.
pub(super) fn trace_headers(bytes: &[u8]) {
    let (headers, _) = request(bytes);
    if let Some((parent, state)) = fuzzed::trace_headers(&headers) {
        assert_eq!(parent.len(), 55);
        assert!(state.len() <= 1_024 && !state.chars().any(char::is_control));
    }
}

/// However a stream is cut, the same comes out of it.
pub(super) fn event_stream(bytes: &[u8]) {
    let read = |size: usize| {
        let (mut parser, mut items): (Parser, Vec<Item>) = Default::default();
        let pieces = bytes.chunks(size.max(1));
        let ends: Result<Vec<()>, _> = pieces.map(|piece| parser.push(piece, &mut items)).collect();
        (ends.map(drop), items)
    };
    let whole = read(bytes.len());
    assert_eq!(whole, read(1));
    assert_eq!(whole, read(7));
}
