//! What instances said, in one file that may be lost: written whole beside the old one, and put in its place.
//!
//! Invariant: a file that cannot be read, or that another release wrote in another way, is set aside and never stops a
//! start. What is read is of a bounded size, and whoever is in it counts as live only when it is heard again. The first
//! line says how far the decisions were, so that an older copy of them is noticed. What is deliberately absent: decisions.

mod lines;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use headwater_core::KeptInstance;
use headwater_wire::RepoName;
use serde::{Deserialize, Serialize};
use tracing::{error, warn};

use self::lines::{Known, Line, Written};
use super::hard::Witness;

/// Layout of the lines.
const FORMAT: u32 = 2;
/// Largest file that is read, in bytes: a full fleet with full histories.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// Longest line, in bytes: the largest report, and the histories of all of its configs.
const LINE_BYTES_MAX: u64 = 16 << 20;

const FILE: &str = "instances.snapshot";

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    headwater_instances: u32,
    #[serde(default)]
    decisions: Option<Witness>,
}

/// Instances of each repository, as an earlier process heard them.
pub(crate) type Kept = BTreeMap<RepoName, Vec<KeptInstance>>;

/// Why a file was not taken.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("it has format {0}, and this release knows format {FORMAT}")]
    Format(u32),
    #[error("it is larger than {FILE_BYTES_MAX} bytes")]
    TooLarge,
    #[error("it ends too early")]
    Cut,
    #[error("an instance names what stands nowhere before it")]
    Dangling,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Line(#[from] serde_json::Error),
}

/// The file of a data directory, while it is being written.
pub(crate) struct Writing {
    file: BufWriter<File>,
    new: PathBuf,
    path: PathBuf,
    shared: Written,
    instances: usize,
}

impl Writing {
    /// Begins a file beside the one there is.
    pub(crate) fn begin(data_dir: &Path, decisions: Witness) -> io::Result<Self> {
        let path = data_dir.join(FILE);
        let new = path.with_extension("snapshot.new");
        let mut writing = Self {
            file: BufWriter::new(File::create(&new)?),
            new,
            path,
            shared: Written::default(),
            instances: 0,
        };
        writing.line(&Head {
            headwater_instances: FORMAT,
            decisions: Some(decisions),
        })?;
        Ok(writing)
    }

    /// Those that follow are of this repository.
    pub(crate) fn repo(&mut self, repo: &RepoName) -> io::Result<()> {
        self.line(&Line::Repo(repo.clone()))
    }

    /// Writes some of them.
    pub(crate) fn instances(&mut self, kept: Vec<KeptInstance>) -> io::Result<()> {
        for instance in kept {
            self.instances += 1;
            for line in self.shared.lines(instance) {
                self.line(&line)?;
            }
        }
        Ok(())
    }

    /// Puts it in the place of the one before.
    pub(crate) fn end(mut self) -> io::Result<()> {
        self.line(&Line::End(self.instances))?;
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        // Without it a loss of power may leave an empty file under the name.
        file.sync_data()?;
        std::fs::rename(&self.new, &self.path)
    }

    fn line<T: Serialize>(&mut self, line: &T) -> io::Result<()> {
        serde_json::to_writer(&mut self.file, line)?;
        self.file.write_all(b"\n")
    }
}

/// Reads the file of a data directory; one that cannot be read is set aside.
pub(crate) fn load(data_dir: &Path) -> Kept {
    let path = data_dir.join(FILE);
    match read(&path) {
        Ok(kept) => kept,
        Err(Unreadable::Io(error)) if error.kind() == io::ErrorKind::NotFound => Kept::new(),
        Err(error) => {
            let aside = path.with_extension("snapshot.aside");
            warn!(
                path = %path.display(), aside = %aside.display(), %error,
                "what instances said cannot be read, and was set aside: {error}; they are known as they report again"
            );
            if let Err(error) = std::fs::rename(&path, &aside) {
                error!(%error, "it could not be set aside: {error}");
            }
            Kept::new()
        }
    }
}

/// How far the decisions were when the file was written, as far as it tells.
pub(super) fn witness(data_dir: &Path) -> Option<Witness> {
    let mut file = BufReader::new(File::open(data_dir.join(FILE)).ok()?);
    next::<Head>(&mut file).ok()??.decisions
}

fn read(path: &Path) -> Result<Kept, Unreadable> {
    let file = File::open(path)?;
    if file.metadata()?.len() > FILE_BYTES_MAX {
        return Err(Unreadable::TooLarge);
    }
    let mut file = BufReader::new(file);
    let head: Head = next(&mut file)?.ok_or(Unreadable::Cut)?;
    if head.headwater_instances != FORMAT {
        return Err(Unreadable::Format(head.headwater_instances));
    }
    let (mut kept, mut count) = (Kept::new(), 0);
    let mut shared = Known::default();
    let mut of_repo = Vec::new();
    let mut repo = None;
    loop {
        match next(&mut file)?.ok_or(Unreadable::Cut)? {
            Line::Labels(labels) => shared.labels.push(labels),
            Line::Configs(configs) => shared.configs.push(configs),
            Line::Content(content) => shared.contents.push(content),
            Line::Repo(next) => {
                let before = repo.replace(next);
                kept.extend(before.map(|before| (before, std::mem::take(&mut of_repo))));
            }
            Line::Instance(row) => {
                of_repo.push(shared.instance(*row).ok_or(Unreadable::Dangling)?);
                count += 1;
            }
            Line::End(written) if written == count => {
                kept.extend(repo.map(|repo| (repo, of_repo)));
                return Ok(kept);
            }
            Line::End(_) => return Err(Unreadable::Cut),
        }
    }
}

/// The next line; none at the end.
fn next<T: for<'a> Deserialize<'a>>(file: &mut BufReader<File>) -> Result<Option<T>, Unreadable> {
    let mut line = Vec::new();
    file.take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(&line)?))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use headwater_core::{Fleet, HeldReport, Moment, Uptime};
    use headwater_wire::{InstanceReport, Timestamp};
    use serde_json::json;

    use super::*;

    const WITNESS: Witness = Witness {
        identity: 7,
        revision: 12,
    };

    fn instance(name: &str) -> KeptInstance {
        KeptInstance {
            instance: name.parse().unwrap(),
            reported_at: Timestamp(1),
            heard_at: Timestamp(2),
            silent_ms: 3,
            gone: false,
            report: HeldReport {
                incarnation: 4,
                seq: 5,
                labels: Arc::default(),
                client: Arc::default(),
                configs: Arc::default(),
            },
            seats: Vec::new(),
        }
    }

    fn saved(data_dir: &Path) -> Kept {
        let mut writing = Writing::begin(data_dir, WITNESS).unwrap();
        for repo in ["one", "two"] {
            writing.repo(&repo.parse().unwrap()).unwrap();
            writing.instances(vec![instance("a"), instance(repo)]).unwrap();
        }
        writing.end().unwrap();
        let of = |repo: &str| (repo.parse().unwrap(), vec![instance("a"), instance(repo)]);
        Kept::from([of("one"), of("two")])
    }

    #[test]
    fn what_was_written_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load(dir.path()), Kept::new());
        let kept = saved(dir.path());
        assert_eq!(load(dir.path()), kept);
        assert_eq!(witness(dir.path()), Some(WITNESS));
    }

    #[test]
    fn a_file_that_was_not_ended_leaves_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let kept = saved(dir.path());
        let mut writing = Writing::begin(dir.path(), WITNESS).unwrap();
        writing.repo(&"three".parse().unwrap()).unwrap();
        drop(writing);
        assert_eq!(load(dir.path()), kept);
    }

    #[test]
    fn a_broken_or_newer_file_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        saved(dir.path());
        let whole = std::fs::read_to_string(&path).unwrap();
        let cut: String = whole.chars().take(whole.chars().count() - 5).collect();
        let dangling = whole.replacen("\"labels\":0", "\"labels\":1", 1);
        assert_ne!(dangling, whole);
        let short = whole.replacen(
            "{\"instance\":{\"instance\":\"a\"",
            "{\"other\":{\"instance\":\"a\"",
            1,
        );
        let newer = whole.replace("{\"headwater_instances\":2", "{\"headwater_instances\":3");
        for bad in [String::new(), "\u{0}".repeat(100), cut, short, dangling, newer] {
            std::fs::write(&path, &bad).unwrap();
            assert_eq!(load(dir.path()), Kept::new());
            assert!(!path.exists());
            assert_eq!(
                std::fs::read_to_string(path.with_extension("snapshot.aside")).unwrap(),
                bad
            );
        }
    }

    /// Two that ran the same contents, and changed from one to the other again and again.
    fn fleet() -> Fleet {
        let mut fleet = Fleet::default();
        for seq in 1..40_u64 {
            for instance in ["a", "b"] {
                let digit = if seq % 2 == 0 { "0" } else { "1" };
                let running =
                    json!({"version": digit.repeat(40), "digest": format!("sha256:{}", digit.repeat(64))});
                let report = json!({
                    "incarnation": 1, "seq": seq, "labels": {"region": "eu"}, "client": "test/1",
                    "configs": {"app": {"running": running, "generation": seq, "state": "confirmed"}},
                });
                let report: InstanceReport = serde_json::from_value(report).unwrap();
                let now = Moment {
                    at: Timestamp(1_795_651_200_000 + i64::try_from(seq).unwrap()),
                    uptime: Uptime(seq),
                };
                fleet.take(&instance.parse().unwrap(), report, now).unwrap();
            }
        }
        fleet
    }

    #[test]
    fn what_many_say_alike_stands_in_the_file_once_and_comes_back_for_each() {
        let dir = tempfile::tempdir().unwrap();
        let instances = fleet().kept(None, 10, Uptime(40));
        let mut writing = Writing::begin(dir.path(), WITNESS).unwrap();
        writing.repo(&"one".parse().unwrap()).unwrap();
        writing.instances(instances.clone()).unwrap();
        writing.end().unwrap();
        let text = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        let count = |what: &str| text.matches(what).count();
        assert_eq!(count("{\"labels\":{\"region\":\"eu\"}}"), 1);
        assert_eq!(count("{\"configs\":"), 1);
        // Once as what ran, and once where the newest report says so.
        assert_eq!((count(&"0".repeat(64)), count(&"1".repeat(64))), (1, 2));
        assert_eq!(
            load(dir.path()),
            Kept::from([("one".parse().unwrap(), instances)])
        );
    }
}
