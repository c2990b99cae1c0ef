//! Laws of versions and of the state, over arbitrary histories and commands.

#![expect(clippy::unwrap_used, reason = "in a test, what must not fail may panic")]

use std::collections::BTreeMap;
use std::sync::Arc;

use headwater_core::{
    Command, ConfigFacts, Effect, Fence, GENERATION_GAP_MAX, Known, RepoState, VersionSearch,
};
use headwater_validators::{ConfigTree, ContentId, Entry, File, Inputs, Limits, declare};
use headwater_wire::{CommitId, ConfigName, Digest, Generation, RepoPath, Timestamp};
use proptest::prelude::*;

const PATHS: [&str; 4] = ["a.toml", "b.json", "dir/c.yaml", "dir/other.toml"];

/// Matches one of the paths by a pattern, so that a change beside it changes nothing.
const PATTERN: &str = "format = 1\n[[config]]\nname = \"all\"\nlayers = [\"a.toml\", \"dir/*.yaml?\"]\n";

/// One commit's tree: which content each path has, if any, and which manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Tree {
    files: [Option<u8>; 4],
    manifest: Manifest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manifest {
    None,
    Broken,
    Plain,
    OneConfig,
    Pattern,
}

impl Manifest {
    fn text(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Broken => Some("format = "),
            Self::Plain => Some("format = 1\n"),
            Self::Pattern => Some(PATTERN),
            Self::OneConfig => Some(
                "format = 1\n[[config]]\nname = \"one\"\nlayers = [\"a.toml?\", \"b.json?\", \"dir/c.yaml?\"]\n",
            ),
        }
    }
}

fn file(content: &str) -> Entry {
    let bytes: Arc<[u8]> = Arc::from(content.as_bytes());
    Entry::File(File {
        id: ContentId::new(content),
        size: bytes.len() as u64,
        bytes: Some(bytes),
    })
}

impl Tree {
    fn declared(&self) -> Option<BTreeMap<ConfigName, Inputs>> {
        let mut tree = ConfigTree::new();
        for (path, content) in PATHS.iter().zip(self.files) {
            if let Some(content) = content {
                tree.insert(path.as_bytes(), file(&format!("content {content}")));
            }
        }
        if let Some(text) = self.manifest.text() {
            tree.insert(b"headwater.toml", file(text));
        }
        declare(&tree, &Limits::default())
    }

    fn changed(&self, parent: &Self) -> Vec<RepoPath> {
        let files = PATHS
            .iter()
            .enumerate()
            .filter(|(i, _)| self.files[*i] != parent.files[*i]);
        let mut changed: Vec<RepoPath> = files.map(|(_, path)| path.parse().unwrap()).collect();
        if self.manifest != parent.manifest {
            changed.push("headwater.toml".parse().unwrap());
        }
        changed
    }
}

fn tree() -> impl Strategy<Value = Tree> {
    let manifest = prop_oneof![
        4 => Just(Manifest::Plain),
        3 => Just(Manifest::None),
        1 => Just(Manifest::Broken),
        2 => Just(Manifest::OneConfig),
        2 => Just(Manifest::Pattern),
    ];
    let content = proptest::option::weighted(0.8, 0..3_u8);
    (
        [content.clone(), content.clone(), content.clone(), content],
        manifest,
    )
        .prop_map(|(files, manifest)| Tree { files, manifest })
}

fn commit(number: usize) -> CommitId {
    format!("{number:040x}").parse().unwrap()
}

/// The definition: the oldest commit of the unbroken run with equal inputs.
fn naive(history: &[Tree], config: &ConfigName) -> CommitId {
    let tip = history.len() - 1;
    let inputs = |at: usize| {
        history[at]
            .declared()
            .and_then(|declared| declared.get(config).cloned())
    };
    let mut oldest = tip;
    while oldest > 0 && inputs(oldest - 1) == inputs(tip) {
        oldest -= 1;
    }
    commit(oldest)
}

fn search(history: &[Tree], known: Option<&(usize, Known)>) -> BTreeMap<ConfigName, CommitId> {
    let tip = history.len() - 1;
    let mut search = VersionSearch::new(commit(tip), history[tip].declared().unwrap_or_default());
    for at in (0..=tip).rev() {
        if let Some((met, known)) = known
            && *met == at
        {
            search.meet(known);
        }
        if search.is_done() || at == 0 {
            break;
        }
        let changed = history[at].changed(&history[at - 1]);
        if changed.iter().any(|path| path.as_str() == "headwater.toml") || search.must_declare(&changed) {
            search.step_declared(commit(at - 1), history[at - 1].declared().as_ref());
        } else {
            search.step(commit(at - 1), &changed);
        }
    }
    search.finish()
}

fn known(history: &[Tree]) -> Known {
    let declared = history.last().unwrap().declared().unwrap_or_default();
    let versions = search(history, None);
    let configs = declared
        .into_iter()
        .map(|(config, inputs)| {
            let version = versions[&config].clone();
            (config, (inputs.digest().clone(), version))
        })
        .collect();
    Known { configs }
}

proptest! {
    #[test]
    fn a_version_is_the_oldest_commit_of_the_unbroken_run(history in proptest::collection::vec(tree(), 1..12)) {
        for (config, version) in search(&history, None) {
            prop_assert_eq!(version, naive(&history, &config));
        }
    }

    #[test]
    fn a_search_that_meets_what_is_known_finds_the_same(
        history in proptest::collection::vec(tree(), 2..12),
        at in any::<proptest::sample::Index>(),
    ) {
        let at = at.index(history.len() - 1);
        let known = known(&history[..=at]);
        prop_assert_eq!(search(&history, Some(&(at, known))), search(&history, None));
    }

    #[test]
    fn the_generation_never_falls_and_targets_move_only_by_admission(
        commands in proptest::collection::vec(command(), 1..40),
    ) {
        let mut state = RepoState::default();
        for command in commands {
            let before = state.clone();
            let admits = matches!(command, Command::Admit { .. });
            let raised = if let Command::RaiseGeneration { config, above } = &command {
                Some((config.clone(), *above))
            } else {
                None
            };
            let result = state.apply(command);
            prop_assert!(state.generation >= before.generation);
            if let Some(raised) = raised {
                raised_as_it_should(&before, &state, &raised)?;
                continue;
            }
            if result.is_err() {
                prop_assert_eq!(&state, &before);
            }
            if !admits {
                prop_assert_eq!(&state.targets, &before.targets);
                prop_assert_eq!(&state.tip, &before.tip);
            }
            for (config, target) in &state.targets {
                let old = before.targets.get(config);
                let moved = old.map(|old| &old.version) != Some(&target.version);
                let newer = target.generation > before.generation;
                prop_assert_eq!(moved, newer, "a moved target has a new generation, and only a moved one");
            }
            let json = serde_json::to_string(&state).unwrap();
            prop_assert_eq!(serde_json::from_str::<RepoState>(&json).unwrap(), state.clone());
        }
    }
}

/// Raising the fence moves one number up and nobody to another version.
fn raised_as_it_should(
    before: &RepoState,
    after: &RepoState,
    (config, above): &(ConfigName, Generation),
) -> Result<(), TestCaseError> {
    for (name, target) in &after.targets {
        let old = &before.targets[name];
        prop_assert!(target.generation >= old.generation);
        prop_assert!(target.generation <= after.generation);
        if name != config {
            prop_assert_eq!(target, old);
        }
    }
    if let Some(target) = after.targets.get(config) {
        let absurd = above.0 > before.generation.0 + GENERATION_GAP_MAX;
        prop_assert_eq!(target.generation > *above, !absurd);
        let expected = if absurd { Fence::Absurd } else { Fence::Above };
        prop_assert_eq!(after.fence(config, *above), expected);
    }
    // Put the numbers back, and nothing else has changed.
    let mut same = after.clone();
    same.generation = before.generation;
    for (name, target) in &mut same.targets {
        target.generation = before.targets[name].generation;
    }
    prop_assert_eq!(&same, before);
    Ok(())
}

fn command() -> impl Strategy<Value = Command> {
    let commit = || (0..6_usize).prop_map(commit);
    let configs = proptest::collection::btree_map(0..3_usize, (0..6_usize, 0..4_u8), 0..3);
    let admit = (commit(), 0..3_u64, configs).prop_map(|(commit, depth, configs)| Command::Admit {
        commit,
        depth,
        configs: configs
            .into_iter()
            .map(|(name, facts)| (config(name), config_facts(facts)))
            .collect(),
    });
    let seen = prop_oneof![4 => 0..20_u64, 1 => Just(GENERATION_GAP_MAX * 2), 1 => Just(u64::MAX)];
    let raise = (0..3_usize, seen).prop_map(|(name, above)| Command::RaiseGeneration {
        config: config(name),
        above: Generation(above),
    });
    prop_oneof![
        4 => admit,
        2 => raise,
        1 => commit().prop_map(Command::Judge),
        1 => commit().prop_map(Command::Reject),
        1 => (commit(), any::<i32>()).prop_map(|(head, at)| Command::Hold { head, at: Timestamp(at.into()) }),
        1 => (commit(), any::<i32>()).prop_map(|(head, at)| Command::Accept {
            head,
            reason: "because".into(),
            at: Timestamp(at.into()),
        }),
    ]
}

fn config(number: usize) -> ConfigName {
    format!("config-{number}").parse().unwrap()
}

fn digest(content: u8) -> Digest {
    format!("sha256:{content:064x}").parse().unwrap()
}

fn config_facts((version, content): (usize, u8)) -> ConfigFacts {
    ConfigFacts {
        version: commit(version),
        inputs: digest(content),
    }
}

fn admit(state: &mut RepoState, number: usize, content: u8) -> Vec<Effect> {
    let configs = BTreeMap::from([(config(0), config_facts((number, content)))]);
    state
        .apply(Command::Admit {
            commit: commit(number),
            depth: 0,
            configs,
        })
        .unwrap()
}

#[test]
fn content_that_comes_back_is_a_rollback_for_who_holds_what_came_between() {
    let mut state = RepoState::default();
    admit(&mut state, 1, 7);
    admit(&mut state, 2, 8);
    admit(&mut state, 3, 7);
    let target = &state.targets[&config(0)];
    assert!(target.restores(&commit(2)));
    assert!(
        !target.restores(&commit(1)),
        "who never left the content is moved forward"
    );
    assert!(
        !target.restores(&commit(9)),
        "of an unknown version nothing is claimed"
    );
}

#[test]
fn a_commit_that_changes_nothing_moves_nobody() {
    let mut state = RepoState::default();
    admit(&mut state, 1, 7);
    let before = state.generation;
    let configs = BTreeMap::from([(config(0), config_facts((1, 7)))]);
    let effects = state
        .apply(Command::Admit {
            commit: commit(2),
            depth: 0,
            configs,
        })
        .unwrap();
    assert!(
        !effects
            .iter()
            .any(|effect| matches!(effect, Effect::TargetMoved { .. }))
    );
    assert_eq!(state.generation, before);
}

#[test]
fn a_lost_store_does_not_take_the_fence_back() {
    let mut state = RepoState::default();
    let configs = BTreeMap::from([(config(0), config_facts((1, 7)))]);
    state
        .apply(Command::Admit {
            commit: commit(1),
            depth: 5_000,
            configs,
        })
        .unwrap();
    assert_eq!(state.generation, Generation(5_000));
}

#[test]
fn a_fence_that_was_overtaken_is_raised_once_however_often_it_is_told() {
    let mut state = RepoState::default();
    admit(&mut state, 1, 7);
    let raise = || Command::RaiseGeneration {
        config: config(0),
        above: Generation(40),
    };
    let effects = state.apply(raise()).unwrap();
    let reissued = Effect::TargetReissued {
        config: config(0),
        generation: Generation(41),
    };
    assert_eq!(effects, [reissued]);
    assert!(state.apply(raise()).unwrap().is_empty());
    admit(&mut state, 2, 8);
    assert_eq!(state.targets[&config(0)].generation, Generation(42));
}

#[test]
fn an_acceptance_said_twice_is_answered_the_same_way() {
    let mut state = RepoState::default();
    state
        .apply(Command::Hold {
            head: commit(5),
            at: Timestamp(1),
        })
        .unwrap();
    let accept = Command::Accept {
        head: commit(5),
        reason: "seen".into(),
        at: Timestamp(2),
    };
    let first = state.apply(accept.clone()).unwrap();
    assert_eq!(state.apply(accept).unwrap(), first);
    let other = Command::Accept {
        head: commit(6),
        reason: "seen".into(),
        at: Timestamp(3),
    };
    assert!(state.apply(other).is_err());
}
