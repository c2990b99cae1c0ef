//! One commit: its verdict and why, what it changed, whom it touches, and what became of it.

use askama::Template;
use headwater_wire::{CommitView, FileDiff, PlanView, RolloutList, VerdictState};

use super::api::Told;
use super::asked::Asked;
use super::changes::{self, Changed, File};
use super::frame::{Frame, Section};
use super::preview::Touched;
use super::rollouts::Moving;
use super::show::{Page, live_block};
use super::sign::{self, Sign};
use super::words::{Link, When, subject};

/// One finding.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    /// How much it weighs.
    pub sign: Sign,
    /// Code.
    pub code: String,
    /// `file:line:column`.
    pub place: String,
    /// The config whose document it is about, and the key in it.
    pub subject: Option<String>,
    /// The line, with secrets hidden, where the commit's difference shows it.
    pub line: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Other places that explain it.
    pub related: Vec<String>,
}

impl Finding {
    /// A finding, with the differences its line may be in.
    pub(super) fn of(finding: &headwater_wire::Finding, files: &[FileDiff]) -> Self {
        let span = finding.span;
        let place = |path: &str, line: u32, column: u32| format!("{path}:{line}:{column}");
        Self {
            sign: sign::severity(finding.severity),
            code: finding.code.clone(),
            place: finding
                .file()
                .map(|path| place(path, span.line, span.column))
                .unwrap_or_default(),
            subject: subject_of(finding),
            line: changes::line_after(files, &finding.path, span.line),
            message: finding.message.clone(),
            hint: finding.hint.clone(),
            related: finding
                .related
                .iter()
                .map(|other| {
                    let place = place(&other.path, other.span.line, other.span.column);
                    format!("{place}: {}", other.note)
                })
                .collect(),
        }
    }
}

/// What is known of where it is wrong besides the file: a key of a document, or the document.
fn subject_of(finding: &headwater_wire::Finding) -> Option<String> {
    let pointer = finding.pointer.as_deref().filter(|pointer| !pointer.is_empty());
    match (&finding.config, pointer) {
        (Some(config), Some(pointer)) => Some(format!("{pointer} of {config}")),
        (Some(config), None) => Some(config.to_string()),
        (None, Some(pointer)) => Some(pointer.to_owned()),
        (None, None) => None,
    }
}

/// The page.
#[derive(Template)]
#[template(path = "commit.html", blocks = ["live"])]
pub(super) struct Commit {
    frame: Frame,
    hash: String,
    subject: String,
    message: String,
    author: String,
    committer: Option<String>,
    at: When,
    parents: Vec<Link>,
    sign: Sign,
    outcome: Option<String>,
    findings: Vec<Finding>,
    plan: Option<String>,
    touched: Vec<Touched>,
    rollouts: Vec<Moving>,
    changed: Vec<Changed>,
    files: Vec<File>,
    back_to: Option<String>,
    take_back: String,
}

impl Page for Commit {
    async fn load(asked: &Asked) -> Told<Self> {
        let view: CommitView = asked
            .api
            .get(asked.v1().part("commits").part(asked.param("rev")))
            .await?;
        let (links, hash) = (asked.links(), view.commit.as_str());
        let diff = match view.parents.first() {
            Some(parent) => changes::between(asked, (parent.as_str(), hash), None).await.ok(),
            None => None,
        };
        let (configs, files) = diff.map(|diff| (diff.configs, diff.files)).unwrap_or_default();
        let plan = asked.v1().part("plan").query("rev", hash);
        let plan: Option<PlanView> = asked.api.get(plan).await.ok();
        let rollouts: RolloutList = asked.api.get(asked.v1().part("rollouts")).await?;
        let brought = rollouts
            .rollouts
            .iter()
            .filter(|rollout| rollout.target == view.commit);
        let person = |person: &headwater_wire::Person| format!("{} <{}>", person.name, person.email);
        let (author, committer) = (person(&view.author), person(&view.committer));
        let rollback = || links.page("rollback");
        Ok(Self {
            frame: Frame::load(asked, Section::Commits, format!("Commit {}", view.commit.short())).await?,
            hash: hash.to_owned(),
            subject: subject(&view.message),
            message: view.message.clone(),
            committer: (committer != author).then_some(committer),
            author,
            at: When::new(asked.now, view.committer.at),
            parents: view
                .parents
                .iter()
                .map(|parent| Link::commit(&links, parent))
                .collect(),
            sign: sign::verdict(view.verdict.state),
            outcome: view.outcome.clone(),
            findings: view
                .verdict
                .findings
                .iter()
                .map(|finding| Finding::of(finding, &files))
                .collect(),
            plan: plan.as_ref().map(|plan| plan.summary.clone()),
            touched: plan.map(|plan| Touched::all(&links, &plan)).unwrap_or_default(),
            rollouts: brought.map(|rollout| Moving::of(asked, rollout)).collect(),
            changed: configs.iter().map(|diff| Changed::of(&links, diff)).collect(),
            files: files.iter().map(File::of).collect(),
            // What was rejected is nothing that anybody had.
            back_to: (view.verdict.state != VerdictState::Rejected)
                .then(|| rollback().query("to", hash).into_text()),
            take_back: rollback().query("revert", hash).into_text(),
        })
    }

    live_block!();
}
