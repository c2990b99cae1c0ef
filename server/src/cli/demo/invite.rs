//! What the demo says to try next.
//!
//! Invariant: each command can be copied as it stands, from top to bottom, also after what the service itself pushed.

use std::io;
use std::path::PathBuf;

use headwater_wire::CommitId;

use super::site::Site;
use crate::cli::out::{Out, Tone};

/// The file with the pool of `payments/prod`.
const POOL: &str = "services/payments/prod.toml";
/// The file with the flags.
const FLAGS: &str = "flags/base.yaml";

/// What to try next, from top to bottom.
pub(super) fn invite(site: &Site, (server, begun): (&str, &CommitId), out: &mut Out<'_>) -> io::Result<()> {
    let paint = out.paint();
    out.line("")?;
    out.line(format!("Look at it in a browser: {server}"))?;
    out.line("")?;
    out.line("Try, in another terminal:")?;
    for (title, commands) in steps(site, server, begun) {
        out.line("")?;
        out.line(format!("  {}", paint.apply(Tone::Dim, &format!("# {title}"))))?;
        for command in commands {
            out.line(format!("  {command}"))?;
        }
    }
    out.line("")?;
    out.line(format!("  {}", paint.apply(Tone::Dim, "# Ctrl-C ends the demo")))?;
    out.line("")?;
    out.flush()
}

fn steps(site: &Site, server: &str, begun: &CommitId) -> Vec<(&'static str, Vec<String>)> {
    let cd = format!("cd {}", shell_word(&site.clone_dir().display().to_string()));
    let program = shell_word(&own_name());
    let ask = |order: &str| format!("{program} {order} --server {server}");
    // The service may have pushed since, to write down that it went back.
    let push = |edit: &str, message: &str| {
        format!("{cd} && git pull -q && {edit} && git commit -qam '{message}' && git push -q")
    };
    let pool = |max: u32, message: &str| push(&format!("echo 'pool = {{ max = {max} }}' > {POOL}"), message);
    let flag = format!("sed 's/percent: 25/percent: 50/' {FLAGS} > .git/new && mv .git/new {FLAGS}");
    vec![
        (
            "1. change a value: the canary has it first, the others 5 s later; the second command shows how far it is",
            vec![pool(45, "Raise the pool"), ask("rollouts")],
        ),
        (
            "2. let the canary refuse a value: nobody else gets it, and after 30 s, or at once by the second, it goes back",
            vec![
                pool(50, "Raise the pool beyond the canary"),
                ask("abort payments/prod --reason 'The canary refuses it'"),
            ],
        ),
        (
            "3. change a flag: all get ready, then all switch at once (above 50, payments-2 refuses, and nobody switches)",
            vec![push(&flag, "Let half of the users have the new checkout")],
        ),
        (
            "4. break it: it is rejected, and nobody gets it",
            vec![pool(400, "Raise the pool far too much")],
        ),
        (
            "5. go back to where this began: a commit that says so, and all three follow",
            vec![format!(
                "{cd} && {} --to {} --reason 'Begin anew' && git pull -q",
                ask("rollback"),
                begun.short()
            )],
        ),
    ]
}

/// What starts this program from a shell: its name if the search path leads there, else its path.
fn own_name() -> String {
    let Ok(program) = std::env::current_exe() else {
        return "headwater".to_owned();
    };
    let name = program.file_name().unwrap_or(program.as_os_str());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let leads = std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|found| found.is_file());
    let is_found = leads.and_then(|found| found.canonicalize().ok()).as_ref() == Some(&program);
    let shown = if is_found { PathBuf::from(name) } else { program };
    shown.display().to_string()
}

/// A path as one word of a shell.
fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_of_a_shell() {
        assert_eq!(shell_word("/tmp/demo-1/clone"), "/tmp/demo-1/clone");
        assert_eq!(shell_word("/tmp/it's here"), "'/tmp/it'\\''s here'");
    }
}
