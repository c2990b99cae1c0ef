//! The pages of `docs/`, whose examples are taken out and run.

use std::path::Path;

/// The text of a page, by its path from the top of the sources.
///
/// # Panics
/// If there is no such page.
pub fn page(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("a workspace");
    std::fs::read_to_string(root.join(path)).expect("a page")
}

/// All fenced blocks of a language, in their order.
pub fn blocks(page: &str, language: &str) -> Vec<String> {
    let opening = format!("\n```{language}\n");
    page.split(opening.as_str())
        .skip(1)
        .filter_map(|rest| rest.split("\n```").next())
        .map(|block| format!("{block}\n"))
        .collect()
}
