//! Golden cases: `tests/cases/<name>/repo/` is a tree, `expected.txt` is everything that is said of it.
//!
//! `HEADWATER_BLESS=1 cargo test -p headwater-validators --test golden` writes what is missing or has changed; read the
//! difference before it is committed. A file named `exposed.txt` lists configs that are good in the exposed commit, and
//! `entries.txt` adds entries that a checkout cannot hold: `symlink PATH`, `submodule PATH`, `hostile ESCAPED-NAME`,
//! `unread SIZE PATH`. `files-limit.txt` and `findings-limit.txt` lower the server's limits. `before/` is the tree that
//! is exposed, `restored/` one that the commit goes back to, `restored-in-part/` one of which it brings back some configs,
//! `message.txt` the commit's message, `floor.json` what the server insists on, and each line of `outcomes.txt` what a
//! webhook says: `accepted`, `refused WHY`, `failed WHAT` or `not run`; without the file nobody asks.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a case that cannot be read is a failed test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use headwater_render::Format;
use headwater_validators::catalogue::{self, Explanation};
use headwater_validators::document::{ParseOptions, parse};
use headwater_validators::{
    CommitFacts, ConfigTree, ContentId, Context, Entry, Extent, File, Floor, Inputs, Limits, Outcome,
    Restored, Verdict, allowances, declare, report, validate,
};
use headwater_wire::{ConfigName, Severity};

#[test]
fn every_case_says_what_is_expected_of_it() {
    let bless = std::env::var_os("HEADWATER_BLESS").is_some();
    let mut failures = String::new();
    let mut cases = 0;
    for directory in case_directories() {
        cases += 1;
        let actual = Case::load(&directory).judge();
        let path = directory.join("expected.txt");
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        if actual != expected && bless {
            std::fs::write(&path, &actual).unwrap();
        } else if actual != expected {
            writeln!(
                failures,
                "== {}\n-- expected\n{expected}-- actual\n{actual}",
                directory.display()
            )
            .unwrap();
        }
    }
    assert!(cases >= 200, "only {cases} cases were found");
    assert!(failures.is_empty(), "{failures}");
}

/// The example of docs/manifest.md, over the files of the case that shows all of it.
#[test]
fn the_example_of_the_documentation_works_as_written() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/example");
    let docs = include_str!("../../docs/manifest.md");
    let example = docs
        .split("```toml\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let mut files = BTreeMap::new();
    read_files(&directory.join("repo"), "", &mut files);
    files.insert("headwater.toml".to_owned(), example.unwrap().as_bytes().to_vec());
    let case = Case {
        tree: tree_of(&files),
        limits: Limits::default(),
        before: None,
        ..Case::load(&directory)
    };
    let told = case.judge();
    for part in [
        "verdict: admitted\n",
        "\norders/prod ",
        "\norders/prod [canary] ",
        "\norders/prod [eu] ",
        "rollout Some(\"careful\"), owners [\"@team-orders\", \"sre@example.test\"]",
    ] {
        assert!(told.contains(part), "`{part}` is not in:\n{told}");
    }
}

/// What is emitted and never shown by a case may be worded badly without anybody noticing.
#[test]
fn every_finding_code_has_a_case() {
    let mut shown: BTreeMap<String, Severity> = BTreeMap::new();
    for directory in case_directories() {
        for finding in Case::load(&directory).verdict().findings() {
            let heaviest = shown.entry(finding.code.clone()).or_insert(finding.severity);
            *heaviest = finding.severity.min(*heaviest);
        }
    }
    let is_shown = |explanation: &Explanation| shown.keys().any(|code| explanation.explains(code));
    let missing: Vec<&str> = catalogue::all()
        .filter(|explanation| !is_shown(explanation))
        .map(|explanation| explanation.code)
        .collect();
    let excused: Vec<&str> = NOT_SHOWN.iter().map(|(code, _)| *code).collect();
    assert_eq!(
        missing, excused,
        "codes without a case, and those that have a reason to have none"
    );
    for (code, severity) in shown {
        let explained = catalogue::find(&code).map(|explanation| explanation.severity);
        assert!(
            explained.is_some_and(|heaviest| heaviest <= severity),
            "`{code}` is reported as {severity:?}, and explained as {explained:?}"
        );
    }
}

/// What a hint tells to write must be readable where it is written.
#[test]
fn whatever_a_hint_shows_of_toml_can_be_read() {
    let mut shown = BTreeSet::new();
    for directory in case_directories() {
        let verdict = Case::load(&directory).verdict();
        let hints = verdict
            .findings()
            .iter()
            .filter_map(|finding| finding.hint.as_deref());
        shown.extend(hints.flat_map(toml_in));
    }
    for explanation in catalogue::all() {
        shown.extend(toml_in(explanation.remedy));
    }
    assert!(
        shown.len() > 20,
        "only {} hints show some: {shown:?}",
        shown.len()
    );
    for text in shown {
        // What is left to the reader is any value, or more of the same. A list is the value of a key.
        let filled = text.replace(", …", "").replace('…', "0");
        let is_read = |text: &str| parse(Format::Toml, text.as_bytes(), &ParseOptions::default()).is_ok();
        assert!(
            is_read(&filled) || is_read(&format!("key = {filled}")),
            "`{text}` cannot be read"
        );
    }
}

/// The parts in back-ticks that are lines of TOML.
fn toml_in(hint: &str) -> Vec<String> {
    let is_toml = |text: &&str| text.contains(" = ") || text.starts_with('[') && text.ends_with(']');
    let parts = hint.split('`').skip(1).step_by(2);
    parts.filter(is_toml).map(str::to_owned).collect()
}

/// Codes that no case can show, sorted, each with the reason.
const NOT_SHOWN: &[(&str, &str)] = &[
    ("limit/crash", "a process of the server says it"),
    ("limit/deadline", "a process of the server says it"),
    ("limit/forbidden", "a process of the server says it"),
    ("limit/killed", "a process of the server says it"),
    ("limit/memory", "a process of the server says it"),
    ("limit/object-bytes", "whoever reads the tree says it"),
    ("limit/stack", "a process of the server says it"),
    ("limit/tree", "whoever reads the tree says it"),
    ("parse/format", "only files with an extension of config are read"),
    ("schema/$ref", "references are followed when a schema is compiled"),
    ("signature/bad", "whoever reads the commit says it"),
    ("signature/expired-key", "whoever reads the commit says it"),
    ("signature/missing", "whoever reads the commit says it"),
    ("signature/too-many", "whoever reads the commit says it"),
    ("signature/unknown-key", "whoever reads the commit says it"),
    (
        "tree/absent",
        "a layer that is not there is `manifest/layer-missing`",
    ),
    ("tree/unread", "a fault of the program"),
];

struct Case {
    tree: ConfigTree,
    exposed: BTreeSet<ConfigName>,
    before: Option<ConfigTree>,
    restored: Option<Restored>,
    commit: CommitFacts,
    floor: Floor,
    outcomes: Option<Vec<Outcome>>,
    limits: Limits,
}

impl Case {
    fn load(directory: &Path) -> Self {
        let mut tree = read_tree(&directory.join("repo"));
        for line in text(directory, "entries.txt").lines() {
            add_entry(&mut tree, line);
        }
        let exposed = text(directory, "exposed.txt")
            .lines()
            .map(|name| name.parse().unwrap())
            .collect();
        let mut limits = Limits {
            file_bytes: 64 << 10,
            documents: 40,
            merged_bytes: 64 << 10,
            ..Limits::default()
        };
        if let Some(number) = text(directory, "files-limit.txt").lines().next() {
            limits.files = number.parse().unwrap();
        }
        if let Some(number) = text(directory, "findings-limit.txt").lines().next() {
            limits.findings = number.parse().unwrap();
        }
        let message = text(directory, "message.txt");
        let floor = text(directory, "floor.json");
        let outcomes = directory.join("outcomes.txt").exists();
        Self {
            before: optional_tree(&directory.join("before")),
            restored: restored_in(directory, &limits),
            commit: CommitFacts {
                id: None,
                author: "author@example.test".to_owned(),
                allowed: allowances(&message),
                message,
            },
            floor: if floor.is_empty() {
                Floor::default()
            } else {
                serde_json::from_str(&floor).unwrap()
            },
            outcomes: outcomes.then(|| text(directory, "outcomes.txt").lines().map(outcome).collect()),
            tree,
            exposed,
            limits,
        }
    }

    fn verdict(&self) -> Verdict {
        let context = Context {
            exposed: &self.exposed,
            before: self.before.as_ref(),
            restored: self.restored.as_ref(),
            commit: &self.commit,
            floor: &self.floor,
            ..Context::alone(&self.limits)
        };
        let verdict = validate(&self.tree, &context);
        match &self.outcomes {
            Some(outcomes) => verdict.answered(outcomes),
            None => verdict,
        }
    }

    fn judge(&self) -> String {
        let verdict = self.verdict();
        let sources = report::Sources::of(&self.tree).hiding(verdict.findings());
        let mut text = report::text(verdict.findings(), report::Style::Plain, &sources);
        Self::list_configs(&verdict, &mut text);
        self.assert_declared(&verdict);
        text
    }

    fn list_configs(verdict: &Verdict, text: &mut String) {
        let Verdict::Valid(tree) = verdict else {
            text.push_str("verdict: rejected\n");
            return;
        };
        text.push_str("verdict: admitted\n");
        for (name, config) in tree.configs() {
            for effective in config.effectives() {
                let variant = effective
                    .variant()
                    .map(|name| format!(" [{name}]"))
                    .unwrap_or_default();
                let digest = effective.digest().hex().get(..12).unwrap();
                let sources: Vec<_> = effective.sources().iter().map(AsRef::<str>::as_ref).collect();
                writeln!(text, "{name}{variant} {digest} {}", sources.join(" + ")).unwrap();
                writeln!(text, "    {}", effective.canonical()).unwrap();
            }
            if config.rollout().is_some() || !config.owners().is_empty() {
                writeln!(
                    text,
                    "    rollout {:?}, owners {:?}",
                    config.rollout(),
                    config.owners()
                )
                .unwrap();
            }
        }
        for question in tree.questions() {
            let configs = serde_json::to_string(question.configs()).unwrap();
            writeln!(
                text,
                "asked {} for {}: {configs}",
                question.webhook(),
                question.rule()
            )
            .unwrap();
        }
        for (name, path) in tree.unreadable() {
            writeln!(text, "unreadable {name} at {path}").unwrap();
        }
    }

    /// Declaring needs no bytes besides the manifest's and says the same as judging.
    fn assert_declared(&self, verdict: &Verdict) {
        let mut bare = ConfigTree::new();
        for (path, entry) in self.tree.iter() {
            let mut entry = entry.clone();
            if let Entry::File(file) = &mut entry
                && path.as_str() != "headwater.toml"
            {
                file.bytes = None;
            }
            bare.insert(path.as_str().as_bytes(), entry);
        }
        let declared = declare(&bare, &self.limits);
        if let Verdict::Valid(tree) = verdict {
            let declared = declared.expect("a valid tree declares its configs");
            for (name, config) in tree.configs() {
                assert_eq!(declared.get(name), Some(config.inputs()), "{name}");
                assert_eq!(declared[name].paths(), config.inputs().paths(), "{name}");
            }
            for name in declared.keys() {
                assert!(
                    tree.configs().contains_key(name) || tree.unreadable().contains_key(name),
                    "{name}"
                );
            }
        }
    }
}

fn file(size: u64, bytes: Option<&[u8]>) -> Entry {
    let id = bytes.map_or_else(|| "absent".to_owned(), |bytes| format!("{:x}", fnv(bytes)));
    Entry::File(File {
        id: ContentId::new(id),
        size,
        bytes: bytes.map(Arc::from),
    })
}

/// Any hash will do for an opaque id.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn add_entry(tree: &mut ConfigTree, line: &str) {
    let (kind, rest) = line.split_once(' ').unwrap();
    match kind {
        "symlink" => tree.insert(rest.as_bytes(), Entry::Symlink),
        "submodule" => tree.insert(rest.as_bytes(), Entry::Submodule),
        "hostile" => tree.insert(rest.replace("\\n", "\n").as_bytes(), Entry::Symlink),
        "unread" => {
            let (size, path) = rest.split_once(' ').unwrap();
            tree.insert(path.as_bytes(), file(size.parse().unwrap(), None));
        }
        other => panic!("no kind of entry: {other}"),
    }
}

fn read_tree(directory: &Path) -> ConfigTree {
    let mut files = BTreeMap::new();
    read_files(directory, "", &mut files);
    tree_of(&files)
}

fn tree_of(files: &BTreeMap<String, Vec<u8>>) -> ConfigTree {
    let mut tree = ConfigTree::new();
    for (path, bytes) in files {
        tree.insert(path.as_bytes(), file(bytes.len() as u64, Some(bytes)));
    }
    tree
}

fn optional_tree(directory: &Path) -> Option<ConfigTree> {
    directory.is_dir().then(|| read_tree(directory))
}

fn restored_in(directory: &Path, limits: &Limits) -> Option<Restored> {
    let names = [
        ("restored", Extent::WholeTree),
        ("restored-in-part", Extent::Part),
    ];
    names.into_iter().find_map(|(name, extent)| {
        let tree = optional_tree(&directory.join(name))?;
        let declared = declare(&tree, limits).unwrap();
        let digest = |(name, inputs): (ConfigName, Inputs)| (name, inputs.digest().clone());
        let configs = declared.into_iter().map(digest).collect();
        Some(Restored { configs, extent })
    })
}

fn outcome(line: &str) -> Outcome {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "accepted" => Outcome::Accepted,
        "refused" => Outcome::Refused(rest.to_owned()),
        "failed" => Outcome::Failed(rest.to_owned()),
        "not" => Outcome::NotRun,
        other => panic!("no outcome: {other}"),
    }
}

fn text(directory: &Path, name: &str) -> String {
    std::fs::read_to_string(directory.join(name)).unwrap_or_default()
}

fn case_directories() -> Vec<PathBuf> {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut directories: Vec<PathBuf> = std::fs::read_dir(cases)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    directories.sort();
    directories
}

fn read_files(directory: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            read_files(&entry.path(), &format!("{name}/"), files);
        } else {
            files.insert(name, std::fs::read(entry.path()).unwrap());
        }
    }
}
