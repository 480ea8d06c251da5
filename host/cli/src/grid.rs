//! Tables of several columns below a header, each fit for a terminal of 80 columns as long as no cell is too long.

use crate::message::COLUMNS;
use batch_export_system::terminal::one_line;

/// Spaces between columns.
const GAP: usize = 2;
/// Spaces before what stands below a first cell that has its own line.
const BELOW: usize = 4;

/// The side at which the cells of a column stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Returns rows below their header. Where a line would be too long, the first cell of each row stands on its own line,
/// and the others below it.
pub fn grid(header: &[(&str, Side)], rows: &[Vec<String>]) -> String {
    let mut lines = vec![header.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>()];
    let harmless = |row: &Vec<String>| row.iter().map(|cell| one_line(cell).into_owned()).collect();
    lines.extend(rows.iter().map(harmless));
    let sides: Vec<Side> = header.iter().map(|(_, side)| *side).collect();
    let widths: Vec<usize> = (0..sides.len())
        .map(|column| {
            lines
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let whole = widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
    let mut text = String::new();
    for row in &lines {
        if whole <= COLUMNS || row.len() < 2 {
            text.push_str(&line(row, &widths, &sides));
        } else {
            text.push_str(&format!("{}\n{:BELOW$}", row[0], ""));
            text.push_str(&line(&row[1..], &widths[1..], &sides[1..]));
        }
    }
    text
}

fn line(cells: &[String], widths: &[usize], sides: &[Side]) -> String {
    let padded = cells
        .iter()
        .zip(widths)
        .zip(sides)
        .map(|((cell, width), side)| match side {
            Side::Left => format!("{cell:<width$}"),
            Side::Right => format!("{cell:>width$}"),
        });
    let line = padded.collect::<Vec<_>>().join(&" ".repeat(GAP));
    format!("{}\n", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: [(&str, Side); 3] = [("name", Side::Left), ("state", Side::Left), ("rows", Side::Right)];

    fn row(name: &str, state: &str, rows: &str) -> Vec<String> {
        [name, state, rows].map(str::to_owned).into()
    }

    #[test]
    fn cells_stand_below_their_header() {
        let rows = [row("archive", "ok", "1,234"), row("x", "failing", "")];
        assert_eq!(
            grid(&HEADER, &rows),
            "name     state     rows\narchive  ok       1,234\nx        failing\n"
        );
        assert_eq!(grid(&HEADER, &[]), "name  state  rows\n");
    }

    #[test]
    fn a_long_first_cell_stands_alone_and_nothing_moves_the_terminal() {
        let long = "n".repeat(70);
        let text = grid(&HEADER, &[row(&long, "o\u{1b}k", "1")]);
        assert_eq!(
            text,
            format!("name\n    state     rows\n{long}\n    o\\u{{1b}}k     1\n")
        );
    }
}
