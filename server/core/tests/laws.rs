//! Laws of versions and of the state, over arbitrary histories and commands.

#![expect(clippy::unwrap_used, reason = "in a test, what must not fail may panic")]

use std::collections::BTreeMap;
use std::sync::Arc;

use headwater_core::rollout::Urgency;
use headwater_core::{
    Arrival, ChangedPath, Command, ConfigFacts, Content, Effect, FenceCheck, GENERATION_GAP_MAX, Known,
    RepoState, VersionSearch,
};
use headwater_validators::{ConfigTree, ContentId, Entry, File, Inputs, Limits, PathChange, declare};
use headwater_wire::{CommitId, ConfigName, Digest, Generation, Timestamp};
use proptest::prelude::*;

/// All paths of the histories. The last is a file where the tree mostly has a directory.
const PATHS: [&str; 7] = [
    "a.toml",
    "a.json",
    "b.json",
    "dir/c.yaml",
    "dir/other.toml",
    "env/c.toml",
    "dir",
];

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    File(u8),
    Symlink,
}

/// One commit's tree: what stands at each path, if anything, and which manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Tree {
    nodes: [Option<Node>; 7],
    manifest: Manifest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manifest {
    None,
    Broken,
    Plain,
    OneConfig,
    /// The same config as `OneConfig`, if the files that only one of them names are absent.
    OtherConfig,
    /// Matches one of the paths by a pattern, so that a change beside it changes nothing.
    Pattern,
    /// Takes files only as long as its first layer is there.
    Bound,
    Strict,
    Closed,
    Schema,
}

impl Manifest {
    fn text(self) -> Option<&'static str> {
        Some(match self {
            Self::None => return None,
            Self::Broken => "format = ",
            Self::Plain => "format = 1\n",
            Self::OneConfig => {
                "format = 1\n[[config]]\nname = \"one\"\nlayers = [\"a.toml?\", \"b.json?\", \"dir/c.yaml?\"]\n"
            }
            Self::OtherConfig => {
                "format = 1\n[[config]]\nname = \"one\"\nlayers = [\"a.toml?\", \"dir/c.yaml?\", \"env/c.toml?\"]\n"
            }
            Self::Pattern => {
                "format = 1\n[[config]]\nname = \"all\"\nlayers = [\"a.toml\", \"dir/*.yaml?\"]\n"
            }
            Self::Bound => {
                "format = 1\n[[config]]\nname = \"of/{x}\"\nlayers = [\"dir/{x}.yaml\", \"env/{x}.toml?\"]\n"
            }
            Self::Strict => {
                "format = 1\n[defaults]\nunmatched = \"reject\"\nignore = [\"env/**\"]\n\
                 [[config]]\nname = \"one\"\nlayers = [\"{a,b}.json\", \"dir/*.yaml?\"]\n"
            }
            Self::Closed => {
                "format = 1\n[[config]]\nname = \"in\"\nlayers = [\"dir/c.yaml\"]\ndeny_unknown_layers = true\n"
            }
            Self::Schema => {
                "format = 1\n[[config]]\nname = \"one\"\nlayers = [\"a.toml\"]\nschema = \"b.json\"\n\
                 [[config.variant]]\nname = \"v\"\nwhen = { v = \"1\" }\nlayers = [\"dir/c.yaml?\"]\n"
            }
        })
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
    fn of<const N: usize>(manifest: Manifest, files: [(&str, u8); N]) -> Self {
        let mut nodes = [None; 7];
        for (path, content) in files {
            let at = PATHS.iter().position(|known| *known == path).unwrap();
            nodes[at] = Some(Node::File(content));
        }
        Self { nodes, manifest }
    }

    fn nodes(&self) -> impl Iterator<Item = (&'static str, Node)> {
        let has_directory = self.nodes[3].or(self.nodes[4]).is_some();
        let nodes = PATHS.into_iter().zip(self.nodes);
        let nodes = nodes.filter(move |(path, _)| *path != "dir" || !has_directory);
        nodes.filter_map(|(path, node)| Some((path, node?)))
    }

    fn declared(&self) -> Option<BTreeMap<ConfigName, Inputs>> {
        let mut tree = ConfigTree::new();
        for (path, node) in self.nodes() {
            let entry = match node {
                Node::File(content) => file(&format!("content {content}")),
                Node::Symlink => Entry::Symlink,
            };
            tree.insert(path.as_bytes(), entry);
        }
        if let Some(text) = self.manifest.text() {
            tree.insert(b"headwater.toml", file(text));
        }
        declare(&tree, &Limits::default())
    }

    fn changed(&self, parent: &Self) -> Vec<ChangedPath> {
        let (old, new): (BTreeMap<_, _>, BTreeMap<_, _>) = (parent.nodes().collect(), self.nodes().collect());
        let paths = PATHS.into_iter().filter(|path| old.get(path) != new.get(path));
        let change = |path: &str| match (old.get(path), new.get(path)) {
            (Some(Node::File(_)), Some(Node::File(_))) => PathChange::Edited,
            (None, _) => PathChange::Added,
            (_, None) => PathChange::Removed,
            (Some(_), Some(_)) => PathChange::Retyped,
        };
        let mut changed: Vec<_> = paths.map(|path| changed_path(path, change(path))).collect();
        if self.manifest != parent.manifest {
            let change = match (parent.manifest.text(), self.manifest.text()) {
                (None, _) => PathChange::Added,
                (_, None) => PathChange::Removed,
                (Some(_), Some(_)) => PathChange::Edited,
            };
            changed.push(changed_path("headwater.toml", change));
        }
        changed
    }
}

fn changed_path(path: &str, change: PathChange) -> ChangedPath {
    let path = path.parse().unwrap();
    ChangedPath { path, change }
}

fn tree() -> impl Strategy<Value = Tree> {
    let manifest = prop_oneof![
        4 => Just(Manifest::Plain),
        3 => Just(Manifest::None),
        1 => Just(Manifest::Broken),
        2 => Just(Manifest::OneConfig),
        2 => Just(Manifest::OtherConfig),
        2 => Just(Manifest::Pattern),
        2 => Just(Manifest::Bound),
        2 => Just(Manifest::Strict),
        2 => Just(Manifest::Closed),
        2 => Just(Manifest::Schema),
    ];
    let node = || {
        prop_oneof![
            4 => Just(None),
            12 => (0..3_u8).prop_map(|content| Some(Node::File(content))),
            1 => Just(Some(Node::Symlink)),
        ]
    };
    let nodes = [node(), node(), node(), node(), node(), node(), node()];
    (nodes, manifest).prop_map(|(nodes, manifest)| Tree { nodes, manifest })
}

/// Histories in which one commit changes little, and often leaves the manifest as it was.
fn history(length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Tree>> {
    let keeps = proptest::array::uniform7(proptest::bool::weighted(0.7));
    let step = (tree(), keeps, proptest::bool::weighted(0.75));
    proptest::collection::vec(step, length).prop_map(|steps| {
        let mut trees: Vec<Tree> = Vec::new();
        for (mut tree, keeps, keeps_manifest) in steps {
            if let Some(parent) = trees.last() {
                for (node, (old, _)) in tree
                    .nodes
                    .iter_mut()
                    .zip(parent.nodes.iter().zip(keeps))
                    .filter(|(_, (_, keeps))| *keeps)
                {
                    *node = *old;
                }
                if keeps_manifest {
                    tree.manifest = parent.manifest;
                }
            }
            trees.push(tree);
        }
        trees
    })
}

fn commit(number: usize) -> CommitId {
    format!("{number:040x}").parse().unwrap()
}

/// A commit's tree and what it declares, which is worked out once.
struct Commit {
    tree: Tree,
    declared: Option<BTreeMap<ConfigName, Inputs>>,
}

fn commits(trees: impl IntoIterator<Item = Tree>) -> Vec<Commit> {
    let commit = |tree: Tree| Commit {
        declared: tree.declared(),
        tree,
    };
    trees.into_iter().map(commit).collect()
}

/// The definition: the oldest commit of the unbroken run with equal inputs.
fn naive(history: &[Commit], config: &ConfigName) -> CommitId {
    let tip = history.len() - 1;
    let inputs = |at: usize| {
        history[at]
            .declared
            .as_ref()
            .and_then(|declared| declared.get(config))
    };
    let mut oldest = tip;
    while oldest > 0 && inputs(oldest - 1) == inputs(tip) {
        oldest -= 1;
    }
    commit(oldest)
}

fn search(history: &[Commit], known: Option<&(usize, Known)>) -> BTreeMap<ConfigName, CommitId> {
    let tip = history.len() - 1;
    let mut search = VersionSearch::new(commit(tip), history[tip].declared.clone().unwrap_or_default());
    for at in (0..=tip).rev() {
        if let Some((met, known)) = known
            && *met == at
        {
            search.meet(known);
        }
        if search.is_done() || at == 0 {
            break;
        }
        let (here, parent) = (&history[at], &history[at - 1]);
        let changed = here.tree.changed(&parent.tree);
        if search.must_declare(&changed) {
            search.step_declared(commit(at - 1), parent.declared.as_ref());
        } else {
            search.step(commit(at - 1), &changed);
        }
    }
    search.finish()
}

fn known(history: &[Commit]) -> Known {
    let declared = history.last().unwrap().declared.clone().unwrap_or_default();
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
    fn a_version_is_the_oldest_commit_of_the_unbroken_run(history in history(1..12)) {
        let history = commits(history);
        for (config, version) in search(&history, None) {
            prop_assert_eq!(version, naive(&history, &config));
        }
    }

    #[test]
    fn a_search_that_meets_what_is_known_finds_the_same(
        history in history(2..12),
        at in any::<proptest::sample::Index>(),
    ) {
        let history = commits(history);
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
            let admits = matches!(command, Command::Admit(_));
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
                // One that comes back as what it was has not moved.
                let old = before.stable(config);
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
        let expected = if absurd {
            FenceCheck::Absurd
        } else {
            FenceCheck::Above
        };
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
    let admit = (commit(), 0..3_u64, configs).prop_map(|(commit, depth, configs)| {
        let configs = configs.into_iter();
        let configs = configs.map(|(name, facts)| (config(name), config_facts(facts)));
        arrival(commit, depth, configs.collect())
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
            by: None,
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
        content: Content {
            inputs: digest(content),
            documents: None,
        },
    }
}

fn arrival(commit: CommitId, depth: u64, configs: BTreeMap<ConfigName, ConfigFacts>) -> Command {
    Command::Admit(Box::new(Arrival {
        commit,
        depth,
        configs,
        policies: BTreeMap::new(),
        urgency: Urgency::Usual,
        at: Timestamp(0),
    }))
}

fn admit(state: &mut RepoState, number: usize, content: u8) -> Vec<Effect> {
    let configs = BTreeMap::from([(config(0), config_facts((number, content)))]);
    state.apply(arrival(commit(number), 0, configs)).unwrap()
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
    let effects = state.apply(arrival(commit(2), 0, configs)).unwrap();
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
    state.apply(arrival(commit(1), 5_000, configs)).unwrap();
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
        by: None,
        at: Timestamp(2),
    };
    let first = state.apply(accept.clone()).unwrap();
    assert_eq!(state.apply(accept).unwrap(), first);
    let other = Command::Accept {
        head: commit(6),
        reason: "seen".into(),
        by: None,
        at: Timestamp(3),
    };
    assert!(state.apply(other).is_err());
}

/// That the search names what the definition names, for every config of the last commit.
fn assert_versions<const N: usize>(history: [Tree; N], expected: &[(&str, usize)]) {
    let history = commits(history);
    let found = search(&history, None);
    let found: Vec<_> = found
        .iter()
        .map(|(config, version)| (config.as_str(), version.clone()))
        .collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|(config, at)| (*config, commit(*at)))
        .collect();
    assert_eq!(found, expected);
    for (config, version) in &expected {
        assert_eq!(
            *version,
            naive(&history, &config.parse::<ConfigName>().unwrap()),
            "{config}"
        );
    }
}

#[test]
fn a_run_ends_where_another_configs_layer_is_missing() {
    let without = Tree::of(Manifest::Pattern, [("dir/other.toml", 1)]);
    let with = Tree::of(Manifest::Pattern, [("a.toml", 1), ("dir/other.toml", 1)]);
    assert_versions([without, with], &[("all", 1), ("dir/other", 1)]);
}

#[test]
fn a_run_ends_where_another_configs_schema_is_missing() {
    let files = [("a.toml", 1), ("env/c.toml", 1)];
    let without = Tree::of(Manifest::Schema, files);
    let with = Tree::of(Manifest::Schema, [("b.json", 1), files[0], files[1]]);
    assert_versions([without, with], &[("env/c", 1), ("one", 1)]);
}

#[test]
fn a_run_ends_where_a_file_that_went_made_the_tree_invalid() {
    let files = [("a.json", 1), ("dir/c.yaml", 1)];
    for (manifest, extra, config) in [
        (Manifest::Strict, "dir/other.toml", "one"),
        (Manifest::Plain, "a.toml", "dir/c"),
    ] {
        let with = Tree::of(manifest, [files[0], files[1], (extra, 1)]);
        let without = Tree::of(manifest, files);
        let version = search(&commits([with, without]), None)[&config.parse::<ConfigName>().unwrap()].clone();
        assert_eq!(version, commit(1), "{config}");
    }
}

#[test]
fn a_run_ends_where_another_config_took_the_file() {
    let taken = Tree::of(Manifest::Bound, [("dir/c.yaml", 1), ("env/c.toml", 1)]);
    let free = Tree::of(Manifest::Bound, [("env/c.toml", 1)]);
    assert_versions([taken, free], &[("env/c", 1)]);
}

#[test]
fn a_run_goes_on_under_the_manifest_of_the_older_commit() {
    let files = [("a.toml", 1), ("b.json", 1)];
    let history = [
        Tree::of(Manifest::OtherConfig, [("a.toml", 1), ("env/c.toml", 1)]),
        Tree::of(Manifest::OtherConfig, [files[0]]),
        Tree::of(Manifest::OneConfig, [files[0]]),
    ];
    assert_versions(history, &[("one", 1)]);
}

#[test]
fn a_run_is_not_broken_by_a_file_where_a_layers_directory_would_be() {
    let history = [
        Tree::of(Manifest::Pattern, [("a.toml", 1), ("dir", 1)]),
        Tree::of(Manifest::Pattern, [("a.toml", 1), ("dir", 2)]),
        Tree::of(Manifest::Pattern, [("a.toml", 1)]),
    ];
    assert_versions(history, &[("all", 0)]);
}

#[test]
fn files_that_nobody_names_come_without_a_new_version_of_others() {
    let history = [
        Tree::of(Manifest::OneConfig, [("a.toml", 1)]),
        Tree::of(Manifest::OneConfig, [("a.toml", 1), ("dir/other.toml", 1)]),
        Tree::of(
            Manifest::OneConfig,
            [("a.toml", 1), ("dir/other.toml", 1), ("dir/c.yaml", 1)],
        ),
        Tree::of(
            Manifest::OneConfig,
            [("a.toml", 1), ("dir/other.toml", 2), ("dir/c.yaml", 1)],
        ),
    ];
    assert_versions(history, &[("dir/other", 3), ("one", 2)]);
}
