//! Commits that are made to hang, crash or fill the service: each has a verdict, and the service does not notice.

use std::fmt::Write as _;
use std::net::SocketAddr;

use headwater_tests::http::Ask;
use headwater_tests::origin::TestOrigin;
use headwater_tests::wait::wait_for;
use serde_json::Value;

use crate::command::{Running, WorkTree, program};

/// Most memory that the service may take for all of them, in KiB: some copies of the largest of these commits.
const GROWTH_KIB_MAX: u64 = 64 << 10;

/// A hostile commit: what it is, its files, and the codes one of which its verdict has.
struct Hostile {
    name: &'static str,
    files: Vec<(&'static str, String)>,
    codes: &'static [&'static str],
}

fn hostile(name: &'static str, file: (&'static str, String), codes: &'static [&'static str]) -> Hostile {
    let (path, _) = file;
    let manifest = format!("format = 1\n[[config]]\nname = \"x\"\nlayers = [\"{path}\"]\n");
    Hostile {
        name,
        files: vec![("headwater.toml", manifest), file],
        codes,
    }
}

/// The same of a schema, with a document that it is applied to.
fn hostile_schema(
    name: &'static str,
    (schema, document): (String, String),
    codes: &'static [&'static str],
) -> Hostile {
    let mut made = hostile(name, ("x.json", document), codes);
    made.files[0].1.push_str("schema = \"x.schema.json\"\n");
    made.files.push(("x.schema.json", schema));
    made
}

/// The same of an expression that a document must fulfil.
fn hostile_rule(name: &'static str, expression: &str, codes: &'static [&'static str]) -> Hostile {
    let numbers = (0..2_000).collect::<Vec<u32>>();
    let document = serde_json::json!({"a": numbers, "t": "aaaa"}).to_string();
    let mut made = hostile(name, ("x.json", document), codes);
    let rule = format!("rules = [\"r\"]\n[rule.r]\nexpr = '''{expression}'''\n");
    made.files[0].1.push_str(&rule);
    made
}

fn set() -> Vec<Hostile> {
    let mut all = set_of_files();
    all.extend(set_of_rules());
    all
}

fn set_of_rules() -> Vec<Hostile> {
    let doubled = format!("[new.t]{} == []", ".map(b, b + b)".repeat(50));
    vec![
        hostile_rule(
            "loops within loops",
            "new.a.all(x, new.a.all(y, new.a.all(z, x + y + z >= 0)))",
            &["rule/error"],
        ),
        hostile_rule(
            "lists of lists",
            "new.a.map(x, new.a).map(x, x.map(y, new.a)).size() == 0",
            &["rule/error"],
        ),
        hostile_rule("a text that doubles", &doubled, &["rule/error"]),
        hostile_rule(
            "a deep expression",
            &format!("{}true", "!".repeat(2_000)),
            &["manifest/expression"],
        ),
        hostile_rule(
            "a deep expression of parentheses",
            &format!("{}true{}", "(".repeat(1_000), ")".repeat(1_000)),
            &["manifest/expression"],
        ),
        hostile_rule(
            "a pattern of a rule that explodes",
            r#"new.t.matches("(\\p{L}{1,200}){1,200}")"#,
            &["manifest/expression"],
        ),
        hostile("a flood of tokens", ("x.json", tokens(2_000)), &["secret/token"]),
    ]
}

fn set_of_files() -> Vec<Hostile> {
    vec![
        hostile(
            "a billion laughs",
            ("x.yaml", laughs()),
            &["parse/budget", "parse/alias"],
        ),
        hostile(
            "a million anchors",
            ("x.yaml", anchors(1_000_000)),
            &["limit/file-bytes"],
        ),
        hostile("a chain of anchors", ("x.yaml", chain(20_000)), &["parse/depth"]),
        hostile("deep YAML", ("x.yaml", "[".repeat(200_000)), &["parse/depth"]),
        hostile(
            "deep YAML by dashes",
            ("x.yaml", "- ".repeat(200_000)),
            &["parse/depth"],
        ),
        hostile("deep JSON", ("x.json", "[".repeat(200_000)), &["parse/depth"]),
        hostile(
            "deep TOML",
            ("x.toml", format!("a = {}", "[".repeat(200_000))),
            &["parse/depth"],
        ),
        hostile(
            "a deep TOML key",
            ("x.toml", format!("a{} = 1", ".a".repeat(200_000))),
            &["parse/depth"],
        ),
        hostile_schema(
            "a schema that doubles at each level",
            alternatives(),
            &["limit/deadline", "limit/memory"],
        ),
        hostile_schema(
            "a chain of references that doubles",
            references(),
            &["limit/deadline", "limit/memory"],
        ),
        hostile_schema(
            "a pattern that explodes",
            pattern("(\\\\p{L}{1,200}){1,200}"),
            &["schema/invalid"],
        ),
        hostile_schema(
            "a pattern that is deep",
            pattern(&"(".repeat(100_000)),
            &["schema/invalid"],
        ),
        hostile_schema(
            "a deep schema",
            (r#"{"not":"#.repeat(100_000), "1".to_owned()),
            &["parse/depth"],
        ),
    ]
}

fn laughs() -> String {
    let mut text = "l0: &l0 [ha, ha, ha, ha, ha, ha, ha, ha, ha]\n".to_owned();
    for level in 1..12 {
        let below = level - 1;
        let aliases = vec![format!("*l{below}"); 9].join(", ");
        writeln!(text, "l{level}: &l{level} [{aliases}]").unwrap();
    }
    text
}

fn anchors(count: usize) -> String {
    let mut text = String::new();
    for anchor in 0..count {
        writeln!(text, "- &{anchor:x} {{}}").unwrap();
    }
    text
}

/// Each value holds the one before it.
fn chain(count: usize) -> String {
    let mut text = "- &0 {}\n".to_owned();
    for anchor in 1..count {
        writeln!(text, "- &{anchor} [*{}]", anchor - 1).unwrap();
    }
    text
}

/// Two alternatives at each level, both of which look at the next.
pub(crate) fn alternatives() -> (String, String) {
    let branch = r##"{"properties": {"a": {"$ref": "#/$defs/n"}}, "required": ["a"]}"##;
    let schema = format!(
        r##"{{"$defs": {{"n": {{"type": "object", "anyOf": [{branch}, {branch}]}}}}, "$ref": "#/$defs/n"}}"##
    );
    (schema, format!("{}2{}", r#"{"a":"#.repeat(50), "}".repeat(50)))
}

/// Each definition applies the next one twice.
fn references() -> (String, String) {
    let mut definitions = String::new();
    for at in 0..60 {
        let next = at + 1;
        let both = format!(r##"{{"$ref": "#/$defs/d{next}"}}, {{"$ref": "#/$defs/d{next}"}}"##);
        write!(definitions, r#""d{at}": {{"allOf": [{both}]}}, "#).unwrap();
    }
    (
        format!(r##"{{"$defs": {{{definitions} "d60": {{"type": "object"}}}}, "$ref": "#/$defs/d0"}}"##),
        "{}".to_owned(),
    )
}

/// Values that each look like the token of a forge.
fn tokens(count: usize) -> String {
    let values: Vec<String> = (0..count).map(|at| format!("ghp_{at:036}")).collect();
    serde_json::json!({ "values": values }).to_string()
}

fn pattern(pattern: &str) -> (String, String) {
    (
        format!(r#"{{"properties": {{"a": {{"pattern": "{pattern}"}}}}}}"#),
        r#"{"a": "aaaaaaaaaaaaaaaa"}"#.to_owned(),
    )
}

/// A service as a person starts it, whose verdicts are worked out by children of its own program.
struct Service {
    running: Running,
    addr: SocketAddr,
    _place: WorkTree,
}

impl Service {
    fn start(origin: &TestOrigin) -> Self {
        let place = WorkTree::plain();
        let mut command = program(place.path());
        command
            .env("HEADWATER_POLL_INTERVAL", "1s")
            .env("HEADWATER_VERDICT_DEADLINE", "10s")
            .env("HEADWATER_VERDICT_BYTES_MAX", "268435456")
            .env("HEADWATER_SANDBOX", "required")
            .args(["serve", "--listen", "127.0.0.1:0", "--repo"])
            .arg(origin.path());
        let mut running = Running::start(&mut command);
        let line = running.line("listening on http://");
        let (_, addr) = line.split_once("http://").expect("an address");
        Self {
            addr: addr.trim().parse().expect("an address"),
            running,
            _place: place,
        }
    }

    #[track_caller]
    fn until(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let look = || Ask::get("/v1/repos/default").send(self.addr).json();
        wait_for(what, || Some(look()).filter(|repo| is(repo)))
    }

    /// The most memory that it had at once, in KiB.
    fn memory_kib_most(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.running.id())).expect("a process");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .expect("a line");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

#[test]
fn each_hostile_commit_has_a_verdict_and_the_service_does_not_grow() {
    let origin = TestOrigin::new();
    let good = origin.commit(&[("app.json", Some("{\"v\": 1}"))], "good");
    let service = Service::start(&origin);
    service.until("the good commit", |repo| repo["tip"] == good.as_str());
    let before = service.memory_kib_most();
    let mut before_it = Vec::new();
    for Hostile { name, files, codes } in set() {
        let removed = before_it.iter().map(|path| (*path, None));
        let added = files.iter().map(|(path, text)| (*path, Some(text.as_str())));
        let head = origin.commit(&removed.chain(added).collect::<Vec<_>>(), name);
        before_it = files.iter().map(|(path, _)| *path).collect();
        let repo = service.until(name, |repo| {
            repo["head"] == head.as_str() && repo["head_state"] != "validating"
        });
        let none = Vec::new();
        let findings = repo["findings"].as_array().unwrap_or(&none);
        let told: Vec<&str> = findings
            .iter()
            .filter_map(|finding| finding["code"].as_str())
            .collect();
        assert!(
            told.iter().any(|code| codes.contains(code)),
            "{name}: {told:?} has none of {codes:?}"
        );
        assert_eq!(repo["tip"], good.as_str(), "{name}");
    }
    let removed = before_it.iter().map(|path| (*path, None));
    let mended = removed.chain([("app.json", Some("{\"v\": 2}"))]);
    let last = origin.commit(&mended.collect::<Vec<_>>(), "good again");
    service.until("the good commit after them", |repo| repo["tip"] == last.as_str());
    let grown = service.memory_kib_most() - before;
    assert!(grown < GROWTH_KIB_MAX, "the service took {grown} KiB for them");
}
