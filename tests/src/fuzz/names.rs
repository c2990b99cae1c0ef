//! Names and addresses: what is accepted is written as it is read, and is nothing that a program takes for an option.

use std::fmt::Display;
use std::str::FromStr;

use headwater_server::secret::{UpstreamUrl, UrlKind};
use headwater_wire::{BranchName, CommitId, ConfigName, Digest, InstanceId, RepoName, RepoPath};

fn kept<T: FromStr + Display>(text: &str) -> bool {
    let Ok(read) = text.parse::<T>() else { return false };
    assert_eq!(read.to_string(), text);
    assert!(
        !text.is_empty() && !text.chars().any(char::is_control),
        "{text:?}"
    );
    true
}

pub(super) fn names(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for line in text.split('\n') {
        kept::<CommitId>(line);
        kept::<Digest>(line);
        for is_name in [kept::<RepoName>(line), kept::<InstanceId>(line)] {
            assert!(
                !is_name || (!line.contains(['/', '\\', '%']) && line != ".."),
                "{line}"
            );
        }
        for is_path in [kept::<RepoPath>(line), kept::<ConfigName>(line)] {
            let is_step = |part: &str| matches!(part, "" | "." | "..") || part.eq_ignore_ascii_case(".git");
            assert!(
                !is_path || !(line.contains('\\') || line.split('/').any(is_step)),
                "{line}"
            );
        }
        if kept::<BranchName>(line) {
            assert!(
                !line.starts_with('-') && !line.contains("..") && !line.contains("@{"),
                "{line}"
            );
            assert!(
                !line.contains([' ', '~', '^', ':', '?', '*', '[', '\\']),
                "{line}"
            );
        }
    }
}

pub(super) fn address(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for line in text.split('\n') {
        let Ok(url) = line.parse::<UpstreamUrl>() else {
            continue;
        };
        let bare = url.without_embedded();
        let shown = url.to_string();
        assert_eq!(shown, bare.to_string());
        assert_eq!(shown.parse::<UpstreamUrl>(), Ok(bare), "{line}");
        assert!(
            !shown.starts_with('-') && !shown.chars().any(char::is_control),
            "{line}"
        );
        if let UrlKind::Http { host, .. } | UrlKind::Ssh { host, .. } = url.kind() {
            assert!(!host.is_empty() && !host.starts_with('-'), "{line}");
        }
        if let UrlKind::Ssh { user: Some(user), .. } = url.kind() {
            assert!(!user.starts_with('-'), "{line}");
        }
    }
}
