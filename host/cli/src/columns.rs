//! Columns with their types in files, as a table. JSON answers have the source's types too.

use crate::grid::{Side, grid};
use batch_export_runner::preview::PreviewedColumn;

/// Returns one line for each column, or two where one would be too long.
pub fn in_words(columns: &[PreviewedColumn]) -> String {
    let header = [
        ("column", Side::Left),
        ("in Parquet", Side::Left),
        ("in JSON Lines", Side::Left),
    ];
    let rows: Vec<Vec<String>> = columns
        .iter()
        .map(|column| vec![column.name.clone(), column.parquet.clone(), column.json_lines.clone()])
        .collect();
    let table = grid(&header, &rows);
    table.lines().map(|line| format!("  {line}\n")).collect()
}
