use headwater_wire::{Finding, Severity};

use super::samples::span;
use super::*;
use crate::tree::{ContentId, File};

/// A tree of these files.
fn tree(files: &[(&str, &str)]) -> ConfigTree {
    let mut tree = ConfigTree::new();
    for (path, text) in files {
        let file = File {
            id: ContentId::new((*text).to_owned()),
            size: text.len() as u64,
            bytes: Some(text.as_bytes().into()),
        };
        tree.insert(path.as_bytes(), Entry::File(file));
    }
    tree
}

fn shown(line: &str, span: Span) -> String {
    let finding = Finding::new("a/b", Severity::Error, ("web.toml", span), "the message");
    one(&finding, Style::Plain, &Sources::of(&tree(&[("web.toml", line)])))
}

#[test]
fn a_tab_before_the_place_moves_the_marker_with_the_text() {
    insta::assert_snapshot!(shown("\tport = \"80\"\n", span(1, 9, 1, 13)), @r#"
    error[a/b]: the message
     --> web.toml:1:9
      |
    1 |     port = "80"
      |            ^^^^
    "#);
}

#[test]
fn a_wide_character_takes_two_columns_of_the_marker() {
    insta::assert_snapshot!(shown("名前 = \"値\" # x\n", span(1, 6, 1, 9)), @r#"
    error[a/b]: the message
     --> web.toml:1:6
      |
    1 | 名前 = "値" # x
      |        ^^^^
    "#);
}

#[test]
fn a_carriage_return_at_the_end_of_a_line_is_not_seen() {
    insta::assert_snapshot!(shown("a = 1\r\nport = \r\nb = 2\r\n", span(2, 8, 2, 8)), @"
    error[a/b]: the message
     --> web.toml:2:8
      |
    2 | port = 
      |        ^
    ");
}

#[test]
fn of_a_long_line_the_part_around_the_place_is_shown() {
    let line = format!(
        "{{{}\"port\": \"80\", {}}}\n",
        "\"a\": 1, ".repeat(60),
        "\"b\": 2, ".repeat(60)
    );
    let at = 1 + 8 * 60 + 8 + 1;
    let at = u32::try_from(at).unwrap();
    insta::assert_snapshot!(shown(&line, span(1, at, 1, at + 4)), @r#"
    error[a/b]: the message
     --> web.toml:1:490
      |
    1 | ...: 1, "a": 1, "a": 1, "a": 1, "a": 1, "a": 1, "port": "80", "b": 2, "b": 2, "b": 2, "b": 2, "b": 2, "b": 2, "b"...
      |                                                         ^^^^
    "#);
}

#[test]
fn of_a_long_value_the_beginning_is_shown() {
    let line = format!("text = \"{}\"\n", "0123456789".repeat(40));
    insta::assert_snapshot!(shown(&line, span(1, 8, 1, 410)), @r#"
    error[a/b]: the message
     --> web.toml:1:8
      |
    1 | text = "012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234...
      |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#);
}

#[test]
fn the_first_of_several_marked_lines_is_shown() {
    insta::assert_snapshot!(shown("[pool]\nmin = 1\nmax = 2\n", span(1, 1, 3, 8)), @"
    error[a/b]: the message
     --> web.toml:1:1
      |
    1 | [pool]
      | ^^^^^^
    ");
}

#[test]
fn no_content_steers_the_terminal() {
    let line = "a = \"\u{1b}[31m \u{202e}x\u{7} \u{2028}\"\n";
    let told = shown(line, span(1, 1, 1, 2));
    insta::assert_snapshot!(told, @r#"
    error[a/b]: the message
     --> web.toml:1:1
      |
    1 | a = "�[31m �x� �"
      | ^
    "#);
    let files = tree(&[]);
    let hostile = one(&samples::hostile(), Style::Plain, &Sources::of(&files));
    insta::assert_snapshot!(hostile, @r#"
    error[rule/x]]>]: a\r\n::error::b ]]> <c> & "d" \u{1b}[31m \u{202e}e \u{0} 100%, f: g
    --> a b/ü,:%\u{1b}\u{202e}\n::error::.toml:1:1
    ::: a b/ü,:%\u{1b}\u{202e}\n::error::.toml:2:1
     = help: a\r\n::error::b ]]> <c> & "d" \u{1b}[31m \u{202e}e \u{0} 100%, f: g
    "#);
    for text in [told, hostile] {
        assert!(text.chars().all(|c| c == '\n' || !is_unprintable(c)), "{text:?}");
    }
}

#[test]
fn places_of_two_files_are_shown_with_their_notes() {
    let files = tree(&[
        ("services/web.toml", "# web\nport = \"80\"\n"),
        ("services/base.toml", "port = 80\n"),
    ]);
    let sources = Sources::of(&files);
    insta::assert_snapshot!(text(&samples::findings(), Style::Plain, &sources), @r#"
    info[limit/findings]: findings that are not shown: `7`
    --> headwater.toml:1:1

    error[schema/type]: expected an integer, found a string: `80`
     --> services/web.toml:2:8
      |
    2 | port = "80"
      |        ^^^^ /port
      |
     ::: services/base.toml:1:8
      |
    1 | port = 80
      |        -- overrides this value
      |
      = note: in config `web`
      = help: remove the quotes

    warning[merge/type-change]: 100 % of it
    --> services/web.toml:4:1

    1 error, 1 warning, 1 note
    "#);
}

#[test]
fn a_place_far_to_the_right_is_named_and_not_shown() {
    let line = "0".repeat(1 << 20);
    insta::assert_snapshot!(shown(&line, span(1, 1 << 19, 1, 1 << 20)), @"
    error[a/b]: the message
    --> web.toml:1:524288
    ");
}
