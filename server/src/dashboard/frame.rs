//! What all pages have round them: the repositories, the sections, and how the repository is.

use headwater_wire::{Problem, RepoList, RepoView};

use super::api::{Address, Told};
use super::asked::{Asked, Links, Orders};
use super::assets::{self, Addresses};
use super::sign::{self, Sign};
use super::words::{Link, When};

/// A part of the dashboard that the menu names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    /// The repository's first page.
    Fleet,
    /// History.
    Commits,
    /// What moves.
    Rollouts,
    /// Documents.
    Configs,
    /// Who reports.
    Instances,
    /// What was decided.
    Audit,
    /// Where content comes from.
    Sources,
    /// None of them.
    None,
}

/// One entry of the menu.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Where it leads.
    pub link: Link,
    /// Whether it is the one that is shown.
    pub current: bool,
}

/// Who looks at a page.
#[derive(Debug, Clone)]
pub(super) struct Who {
    /// The name of his token.
    pub name: String,
    /// What it is for.
    pub role: &'static str,
}

/// What stands round a page.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    /// What the page is about, in a few words.
    pub title: String,
    /// Path and query of the page.
    pub here: String,
    /// Files it loads.
    pub assets: Addresses,
    /// The repositories.
    pub repos: Vec<Entry>,
    /// The one of them that the page is of.
    pub shown: Option<String>,
    /// The sections.
    pub menu: Vec<Entry>,
    /// The repository, where the page is of one.
    pub state: Option<State>,
    /// Whether the page follows what happens.
    pub follows: bool,
    /// Whether somebody has logged in, who can log out.
    pub in_session: bool,
    /// Who looks, where anybody is asked who he is.
    pub who: Option<Who>,
    /// Whether he is offered orders.
    pub orders: Orders,
}

/// How the repository is, in one line.
#[derive(Debug, Clone)]
pub(super) struct State {
    /// Newest commit that is exposed.
    pub tip: Option<Link>,
    /// Newest commit of the branch, where it is another.
    pub head: Option<Link>,
    /// What became of it.
    pub head_sign: Sign,
    /// What is known of the upstream.
    pub source: Sign,
    /// When it was last seen.
    pub synced: Option<When>,
    /// What is wrong.
    pub error: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Frame {
    /// Whether orders are offered.
    pub(super) fn may_order(&self) -> bool {
        self.orders == Orders::Offered
    }

    /// The frame of a page of a repository.
    pub(super) async fn load(asked: &Asked, section: Section, title: impl Into<String>) -> Told<Self> {
        let list: RepoList = asked.api.get(Address::new("/v1/repos")).await?;
        Ok(Self::of(asked, section, title.into(), &list.repos))
    }

    /// The frame of what went wrong, which must not go wrong itself.
    pub(super) async fn of_problem(asked: &Asked, problem: &Problem) -> Self {
        let list: Told<RepoList> = asked.api.get(Address::new("/v1/repos")).await;
        let repos = list.map(|list| list.repos).unwrap_or_default();
        let mut frame = Self::of(asked, Section::None, problem.title.clone(), &repos);
        frame.follows = false;
        frame
    }

    /// The frame of a page, from what is told of the repositories.
    pub(super) fn of(asked: &Asked, section: Section, title: String, repos: &[RepoView]) -> Self {
        let shown = repos.iter().find(|repo| repo.name.as_str() == asked.repo());
        let entry = |repo: &RepoView| Entry {
            link: Link::new(Links::to(&repo.name).root().into_text(), repo.name.to_string()),
            current: shown.is_some_and(|shown| shown.name == repo.name),
        };
        Self {
            title,
            here: asked.here.clone(),
            assets: assets::addresses(),
            repos: repos.iter().map(entry).collect(),
            shown: shown.map(|repo| repo.name.to_string()),
            menu: menu(shown.or(repos.first()), section),
            state: shown.map(|repo| State::of(asked, repo)),
            follows: true,
            in_session: asked.in_session,
            who: asked.who.as_ref().map(|who| Who {
                name: who.name().to_owned(),
                role: who.role().as_str(),
            }),
            orders: asked.orders(),
        }
    }
}

fn menu(repo: Option<&RepoView>, section: Section) -> Vec<Entry> {
    let mut menu = Vec::new();
    let mut add = |of: Section, address: Address, text: &str| {
        menu.push(Entry {
            link: Link::new(address.into_text(), text.to_owned()),
            current: section == of,
        });
    };
    if let Some(repo) = repo {
        let links = Links::to(&repo.name);
        add(Section::Fleet, links.root(), "Fleet");
        add(Section::Commits, links.page("commits"), "Commits");
        add(Section::Rollouts, links.page("rollouts"), "Rollouts");
        add(Section::Configs, links.page("configs"), "Configs");
        add(Section::Instances, links.page("instances"), "Instances");
        add(Section::Audit, links.page("audit"), "Audit");
    }
    add(Section::Sources, Address::new("/sources"), "Sources");
    menu
}

impl State {
    /// How a repository is.
    pub(super) fn of(asked: &Asked, repo: &RepoView) -> Self {
        let links = Links::to(&repo.name);
        let head = repo.head.as_ref().filter(|head| repo.tip.as_ref() != Some(*head));
        Self {
            tip: repo.tip.as_ref().map(|tip| Link::commit(&links, tip)),
            head: head.map(|head| Link::commit(&links, head)),
            head_sign: sign::head(repo.head_state),
            source: sign::source(repo),
            synced: repo.synced_at.map(|at| When::new(asked.now, at)),
            error: repo.error.clone(),
            hint: repo.hint.clone(),
        }
    }
}
