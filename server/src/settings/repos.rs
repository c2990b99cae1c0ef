//! From what was collected of one repository to its settings.

use headwater_wire::RepoName;

use super::draft::{RepoDraft, ServerDraft};
use super::{
    CANARY_EVERY, CanarySettings, HOOK_GRACE, RepoSettings, WriteSettings, access, signatures, write,
};
use crate::git::limits::MirrorLimits;
use crate::git::list::BranchWanted;
use crate::git::upstream::{ClearText, SshSettings, Upstream};

/// The name a repository gets; `default` where none is said.
pub(super) fn repo_name(draft: &RepoDraft) -> Option<RepoName> {
    draft.name.clone().or_else(|| "default".parse().ok())
}

/// What is followed, and how; nothing without an address, which is told elsewhere.
pub(super) fn finish_repo(draft: &RepoDraft, server: &ServerDraft) -> Option<RepoSettings> {
    let url = draft.url.clone()?;
    let files = (&draft.password_file, &draft.token_file);
    let ssh = draft
        .known_hosts_file
        .clone()
        .map(|known_hosts_file| SshSettings {
            key_file: draft.ssh_key_file.clone(),
            known_hosts_file,
            port: None,
        });
    let upstream = Upstream {
        url,
        credentials: access::credentials(files, draft.username.as_ref()),
        ca_file: draft.ca_file.clone(),
        proxy: draft.proxy.clone(),
        ssh,
        clear_text: ClearText::LoopbackOnly,
    };
    let write = WriteSettings {
        allowed: server.allow_write,
        ..write::finish(draft, &upstream)
    };
    Some(RepoSettings {
        name: repo_name(draft)?,
        notes: write::notes(draft, &write),
        write,
        upstream,
        branch: draft
            .branch
            .clone()
            .map_or(BranchWanted::Default, BranchWanted::Named),
        poll_interval: draft.poll_interval.unwrap_or(server.poll_interval),
        rewritten_history: draft.rewritten_history,
        signatures: signatures::finish(draft),
        mirror_limits: MirrorLimits::default(),
        forge_repo: draft.forge_repo.clone(),
        hook_grace: HOOK_GRACE,
        canary: draft.canary.clone().map(|config| CanarySettings {
            config,
            every: draft.canary_every.unwrap_or(CANARY_EVERY),
        }),
    })
}
