//! What the Git suites share: a mirror in a temporary directory with limits fit for a test.

use std::path::Path;
use std::time::Duration;

use headwater_server::git::Mirror;
use headwater_server::git::error::GitError;
use headwater_server::git::fetch::Fetched;
use headwater_server::git::intent::{Intent, Scope, Undo};
use headwater_server::git::limits::{MirrorLimits, ReadLimits};
use headwater_server::git::list::{BranchWanted, ListedHead};
use headwater_server::git::read::Reader;
use headwater_server::git::stop::Stop;
use headwater_server::git::upstream::Upstream;
use headwater_tests::origin::TestOrigin;
use headwater_wire::{BranchName, CommitId, Person, Timestamp};

/// Text that must never appear in an error.
pub(crate) const CANARY: &str = "c4nary-s3cret";

/// A mirror and the directory it lives in.
pub(crate) struct Bench {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) mirror: Mirror,
}

impl Bench {
    /// A mirror of `url`, which needs nothing else.
    pub(crate) fn of(url: &str) -> Self {
        Self::with(upstream(url), limits())
    }

    /// A mirror with everything told.
    pub(crate) fn with(upstream: Upstream, limits: MirrorLimits) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mirror = Mirror::open(&dir.path().join("mirror"), upstream, limits).expect("a mirror");
        Self { dir, mirror }
    }

    /// Lists, fetches and adopts the default branch, as the pipeline does.
    pub(crate) fn sync(&mut self) -> Result<CommitId, GitError> {
        self.sync_branch(&BranchWanted::Default)
    }

    /// The same for a branch.
    pub(crate) fn sync_branch(&mut self, want: &BranchWanted) -> Result<CommitId, GitError> {
        let (branch, fetched) = self.fetch(want)?;
        let recorded = self.mirror.recorded(&branch);
        self.mirror.adopt(&branch, &fetched.head, recorded.as_ref())?;
        Ok(fetched.head)
    }

    /// Lists and fetches without adopting.
    pub(crate) fn fetch(&mut self, want: &BranchWanted) -> Result<(BranchName, Fetched), GitError> {
        let stop = Stop::new();
        let listing = self.mirror.list(want, &stop)?;
        let branch = listing.branch.expect("the listing names a branch");
        let ListedHead::At(head) = listing.head else {
            panic!("not listed at a commit: {:?}", listing.head)
        };
        let fetched = self.mirror.fetch(&branch, &head, &stop)?;
        Ok((branch, fetched))
    }

    /// The mirror's own repository, for looking inside and for damage.
    pub(crate) fn repository(&self) -> std::path::PathBuf {
        self.dir.path().join("mirror").join("repository.git")
    }

    /// What `git` says in the mirror's own repository.
    pub(crate) fn git(&self, args: &[&str]) -> String {
        let mut command = headwater_tests::origin::git();
        let output = command
            .arg("--git-dir")
            .arg(self.repository())
            .args(args)
            .output();
        let output = output.expect("git runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "git {args:?}: {said}");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// All refs of the mirror and where they are.
    pub(crate) fn refs(&self) -> String {
        self.git(&["for-each-ref"])
    }

    /// Closes the mirror and opens it again.
    pub(crate) fn reopen(self) -> Self {
        let Self { dir, mirror } = self;
        let upstream = mirror.upstream().clone();
        drop(mirror);
        let mirror = Mirror::open(&dir.path().join("mirror"), upstream, limits()).expect("a mirror");
        Self { dir, mirror }
    }
}

/// Short deadlines, but long enough for a busy machine.
pub(crate) fn limits() -> MirrorLimits {
    MirrorLimits {
        list: Duration::from_secs(20),
        fetch: Duration::from_mins(1),
        connect: Duration::from_secs(5),
        idle: Duration::from_secs(10),
        ..MirrorLimits::default()
    }
}

/// Deadlines for peers that never answer.
pub(crate) fn impatient() -> MirrorLimits {
    MirrorLimits {
        list: Duration::from_millis(600),
        fetch: Duration::from_millis(600),
        connect: Duration::from_secs(5),
        idle: Duration::from_millis(300),
        ..MirrorLimits::default()
    }
}

pub(crate) fn upstream(url: &str) -> Upstream {
    Upstream::new(url.parse().expect("an address"))
}

pub(crate) fn named(branch: &str) -> BranchWanted {
    BranchWanted::Named(self::branch(branch))
}

pub(crate) fn branch(name: &str) -> BranchName {
    name.parse().expect("a branch name")
}

/// Every file of every commit is, byte for byte, what `git show` prints.
pub(crate) fn assert_reads_like_git(reader: &Reader, origin: &TestOrigin, tip: &CommitId) {
    let limits = ReadLimits {
        file_bytes_max: 1 << 20,
        ..ReadLimits::default()
    };
    for commit in origin.git(&["rev-list", tip.as_str()]).lines() {
        let commit: CommitId = commit.parse().expect("a commit id");
        let mut seen = Vec::new();
        let visit = &mut |path: &[u8], found| seen.push((path.to_vec(), found));
        reader
            .walk(&commit, &limits, &|_| true, visit)
            .expect("a readable tree");
        seen.sort_by(|a, b| a.0.cmp(&b.0));
        let listed = origin.git_bytes(&["ls-tree", "-r", "-z", "--name-only", commit.as_str()]);
        let mut listed: Vec<_> = listed
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty())
            .collect();
        listed.sort_unstable();
        assert_eq!(
            seen.iter().map(|(path, _)| path.as_slice()).collect::<Vec<_>>(),
            listed
        );
        for (path, found) in seen {
            let headwater_server::git::read::Found::File {
                bytes: Some(bytes),
                size,
                ..
            } = found
            else {
                continue;
            };
            let path = String::from_utf8(path).expect("a path of a test");
            let shown = origin.git_bytes(&["show", &format!("{commit}:{path}")]);
            assert_eq!(bytes.as_ref(), shown, "{commit}:{path}");
            assert_eq!(size, shown.len() as u64);
            let path = path.parse().expect("a path of a test");
            assert_eq!(reader.blob(&commit, &path, 1 << 20).expect("a file"), shown);
        }
    }
}

/// Neither message, nor hint, nor any form of the error shows the canary.
pub(crate) fn assert_no_secret(error: &GitError) {
    let mut text = format!(
        "{error} {error:?} {error:#?} {} {}",
        error.hint(),
        error.one_line()
    );
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text += &format!("{cause} {cause:?}");
        source = cause.source();
    }
    assert!(!text.contains(CANARY), "{text}");
    assert!(!text.contains("Yzg"), "{text}");
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
}

/// Processes that have `text` on their command line, by reading `/proc`.
pub(crate) fn processes_with(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("a proc file system").flatten() {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(text) && entry.path() != Path::new("/proc/self") {
            found.push(line);
        }
    }
    found
}

/// A rollback by Ada, with everything that decides its bytes.
pub(crate) fn intent(id: &str, undo: Undo) -> Intent {
    let person = |name: &str, at: i64| Person {
        name: name.to_owned(),
        email: format!("{}@example.test", name.to_ascii_lowercase()),
        at: Timestamp::from_seconds(at),
    };
    Intent {
        id: id.parse().expect("an id"),
        undo,
        author: person("Ada", 1_700_100_000),
        committer: person("Headwater", 1_700_100_001),
        reason: "latency doubled".to_owned(),
        requested_by: "ada@example.test".to_owned(),
        confirmed_by: String::new(),
    }
}

/// Everything as it was at `target`.
pub(crate) fn whole(target: &CommitId) -> Undo {
    Undo::Restore {
        target: target.clone(),
        scope: Scope::WholeTree,
    }
}

/// One commit taken back.
pub(crate) fn revert(commit: &CommitId, mainline: Option<usize>) -> Undo {
    Undo::Revert {
        commit: commit.clone(),
        mainline,
    }
}
