//! Figures for people and for programs.
//!
//! Invariant: a ratio is of two medians of the same run.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::Options;

/// One measured thing: its name, and its figures with their units in their names.
#[derive(Debug)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) what: String,
    /// Name with unit, and figure.
    pub(crate) figures: Vec<(&'static str, f64)>,
}

/// The middle of the values; zero of none.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 50)
}

/// The value that this many percent do not exceed; zero of none.
pub(crate) fn quantile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(rank).copied().unwrap_or_default()
}

/// Times in milliseconds.
pub(crate) fn milliseconds(times: &[Duration]) -> Vec<f64> {
    times.iter().map(|time| time.as_secs_f64() * 1e3).collect()
}

/// Prints the rows of a mode: a table, or one object per line.
#[expect(clippy::print_stdout, reason = "a program that prints figures")]
pub(crate) fn print(mode: &str, rows: &[Row], options: &Options) {
    let text = if options.json {
        lines(mode, rows)
    } else {
        table(rows)
    };
    print!("{text}");
}

fn lines(mode: &str, rows: &[Row]) -> String {
    let line = |row: &Row| {
        let mut object = Map::new();
        object.insert("mode".to_owned(), mode.into());
        object.insert("what".to_owned(), row.what.as_str().into());
        for (name, figure) in &row.figures {
            object.insert((*name).to_owned(), (*figure).into());
        }
        format!("{}\n", Value::Object(object))
    };
    rows.iter().map(line).collect()
}

/// All rows have the figures of the first.
fn table(rows: &[Row]) -> String {
    let mut cells = vec![vec![String::new()]];
    if let (Some(head), Some(first)) = (cells.first_mut(), rows.first()) {
        head.extend(first.figures.iter().map(|(name, _)| name.replace('_', " ")));
    }
    for row in rows {
        let figures = row.figures.iter().map(|(_, figure)| format!("{figure:.2}"));
        cells.push(std::iter::once(row.what.clone()).chain(figures).collect());
    }
    let widths: Vec<usize> = (0..cells.first().map_or(0, Vec::len))
        .map(|column| {
            let of_row = |row: &Vec<String>| row.get(column).map_or(0, |cell| cell.chars().count());
            cells.iter().map(of_row).max().unwrap_or(0)
        })
        .collect();
    let line = |row: &Vec<String>| {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            // A `String` takes everything.
            match column {
                0 => write!(line, "{cell:width$}"),
                _ => write!(line, "  {cell:>width$}"),
            }
            .ok();
        }
        format!("{}\n", line.trim_end())
    };
    cells.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_the_slowest_of_few_values_are_values_of_them() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(
            [median(&values), quantile(&values, 99)].map(f64::to_bits),
            [2.0_f64, 4.0].map(f64::to_bits)
        );
        assert_eq!(median(&[]).to_bits(), 0.0_f64.to_bits());
    }

    #[test]
    fn people_get_a_table_and_programs_a_line_per_row() {
        let row = |what: &str, figure| Row {
            what: what.to_owned(),
            figures: vec![("last_ms", figure)],
        };
        let rows = [row("floor", 1.0), row("event stream", 12.5)];
        assert_eq!(
            table(&rows),
            "              last ms\nfloor            1.00\nevent stream    12.50\n"
        );
        assert_eq!(
            lines("watch", &rows),
            "{\"last_ms\":1.0,\"mode\":\"watch\",\"what\":\"floor\"}\n{\"last_ms\":12.5,\"mode\":\"watch\",\"what\":\"event stream\"}\n"
        );
    }
}
