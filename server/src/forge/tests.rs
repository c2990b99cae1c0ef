use aws_lc_rs::hmac;
use headwater_wire::Timestamp;
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;

const SECRET: &str = "a secret of at least sixteen bytes";

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

fn signed(body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    hex(hmac::sign(&key, body).as_ref())
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let name: HeaderName = name.parse().unwrap();
        headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn verify(forge: ForgeKind, headers: &HeaderMap, body: &[u8]) -> Option<Result<Delivery, Unreadable>> {
    let message = Message { forge, headers, body };
    let verified = message.verify(&[Secret::new(SECRET)], Timestamp(0))?;
    Some(verified.parse())
}

#[test]
fn every_word_of_the_settings_names_its_forge() {
    for kind in ForgeKind::ALL {
        assert_eq!(kind.as_str().parse(), Ok(kind));
    }
    assert!("GitHub".parse::<ForgeKind>().is_err());
}

#[test]
fn one_forge_does_not_take_the_signature_of_another() {
    let body = br#"{"ref": "refs/heads/main"}"#;
    let tag = signed(body);
    let prefixed = format!("sha256={tag}");
    let all = [
        ("x-hub-signature-256", prefixed.as_str()),
        ("x-gitea-signature", &tag),
        ("x-forgejo-signature", &tag),
        ("x-gogs-signature", &tag),
        ("x-hub-signature", &prefixed),
    ];
    let owners = [
        (ForgeKind::GitHub, "x-hub-signature-256"),
        (ForgeKind::Gitea, "x-gitea-signature"),
        (ForgeKind::Gogs, "x-gogs-signature"),
        (ForgeKind::BitbucketCloud, "x-hub-signature"),
        (ForgeKind::BitbucketDataCenter, "x-hub-signature"),
    ];
    for (forge, own) in owners {
        let others: Vec<_> = all.iter().copied().filter(|(name, _)| *name != own).collect();
        assert!(verify(forge, &headers(&others), body).is_none(), "{forge}");
        let only: Vec<_> = all.iter().copied().filter(|(name, _)| *name == own).collect();
        assert!(verify(forge, &headers(&only), body).is_some(), "{forge}");
    }
}

#[test]
fn a_wrong_signature_of_forgejo_is_not_rescued_by_a_right_one_of_gitea() {
    let body = b"{}";
    let (right, wrong) = (signed(body), "0".repeat(64));
    let both = headers(&[("x-forgejo-signature", &wrong), ("x-gitea-signature", &right)]);
    assert!(verify(ForgeKind::Forgejo, &both, body).is_none());
    let old = headers(&[("x-gitea-signature", &right)]);
    assert!(verify(ForgeKind::Forgejo, &old, body).is_some());
}

#[test]
fn the_media_type_is_looked_at_after_the_signature() {
    let body = b"{}";
    let tag = format!("sha256={}", signed(body));
    let with = headers(&[("x-hub-signature-256", &tag), ("content-type", "text/plain")]);
    let refused = Some(Err(Unreadable::MediaType("text/plain".to_owned())));
    assert_eq!(verify(ForgeKind::GitHub, &with, body), refused);
    assert!(verify(ForgeKind::GitHub, &with, b"{} ").is_none());
}

fn plain_headers(event: &str, forge: ForgeKind) -> HeaderMap {
    let name = match forge {
        ForgeKind::GitHub => "x-github-event",
        ForgeKind::Gitea => "x-gitea-event",
        ForgeKind::Forgejo => "x-forgejo-event",
        ForgeKind::Gogs => "x-gogs-event",
        ForgeKind::BitbucketCloud | ForgeKind::BitbucketDataCenter => "x-event-key",
        ForgeKind::GitLab | ForgeKind::Generic => "x-nothing",
    };
    headers(&[(name, event), ("content-type", "application/json")])
}

/// Reads bytes as if their signature had been right.
fn parse(forge: ForgeKind, event: &str, body: &[u8]) -> Result<Delivery, Unreadable> {
    let headers = plain_headers(event, forge);
    let message = Message {
        forge,
        headers: &headers,
        body,
    };
    Verified(message).parse()
}

/// JSON whose shape is near to that of deliveries, with every kind of value in every place.
fn near_payload() -> impl Strategy<Value = Value> {
    let words = prop::sample::select(vec![
        "refs/heads/main",
        "refs/heads/",
        "refs/tags/v1",
        "main",
        "branch",
        "0000000000000000000000000000000000000000",
        "1111111111111111111111111111111111111111",
        "push",
        "merge_request",
        "repository_update",
        "DELETE",
        "",
        "é\u{0}",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        words.prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        let keys = prop::sample::select(vec![
            "ref",
            "after",
            "before",
            "deleted",
            "repository",
            "project",
            "id",
            "full_name",
            "clone_url",
            "changes",
            "push",
            "new",
            "old",
            "name",
            "type",
            "target",
            "hash",
            "object_kind",
            "links",
            "clone",
            "href",
            "commit",
            "pull_request",
            "head",
            "sha",
            "slug",
            "key",
            "toHash",
            "closed",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((keys, inner), 0..8).prop_map(|fields| {
                Value::Object(
                    fields
                        .into_iter()
                        .map(|(key, value)| (key.to_owned(), value))
                        .collect(),
                )
            }),
        ]
    })
}

fn events() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "push",
        "create",
        "delete",
        "ping",
        "pull_request",
        "merge_group",
        "repo:push",
        "repo:refs_changed",
        "diagnostics:ping",
        "pullrequest:created",
        "pr:opened",
        "else",
    ])
}

fn forges() -> impl Strategy<Value = ForgeKind> {
    prop::sample::select(ForgeKind::ALL.to_vec())
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(forge in forges(), event in events(), body in prop::collection::vec(any::<u8>(), 0..256)) {
        parse(forge, event, &body).ok();
        verify(forge, &plain_headers(event, forge), &body);
    }

    #[test]
    fn no_payload_makes_a_parser_panic_and_every_object_is_read(
        forge in forges(),
        event in events(),
        payload in near_payload(),
    ) {
        let read = parse(forge, event, payload.to_string().as_bytes());
        prop_assert_eq!(read.is_ok(), payload.is_object());
        if let Ok(delivery) = read {
            let main = "main".parse().unwrap();
            delivery.event.meaning(Some(&main));
            delivery.event.meaning(None);
            delivery.repository.is(&"https://h.example.test/a/b".parse().unwrap(), None);
        }
    }

    #[test]
    fn a_payload_cut_anywhere_is_unreadable_and_no_more(cut in 1_usize..200) {
        let body = format!(r#"{{"ref": "refs/heads/main", "x": "{}"}}"#, "y".repeat(200));
        let part = body.as_bytes().get(..cut).unwrap();
        prop_assert_eq!(parse(ForgeKind::GitHub, "push", part), Err(Unreadable::NotAnObject));
    }
}
