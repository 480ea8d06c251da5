//! Numbers, tables and keys for people: each fits a terminal of 80 columns as long as no single word is longer.

use super::message::COLUMNS;
use batch_export_system::terminal::one_line;

pub use batch_export_system::explain::{count, counted};

/// Spaces in front of a table's lines.
const INDENT: usize = 2;
/// Spaces between its columns.
const GAP: usize = 2;
/// A common beginning of keys is written once when that saves this many columns; shorter ones are clearer in place.
const SHORTEST_STEM_CHARS: usize = 8;

/// Returns a number of bytes with its unit.
pub fn bytes(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// Two columns, the first padded. A value that does not fit next to its name continues below; line breaks in it do not
/// start a new row.
pub fn table(rows: &[(String, String)]) -> String {
    let rows: Vec<_> = rows
        .iter()
        .map(|(name, value)| (one_line(name), one_line(value)))
        .collect();
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in &rows {
        let line = format!("{:INDENT$}{name:width$}{:GAP$}", "", "");
        let behind = INDENT + width + GAP;
        let value = column(value, behind);
        text.push_str(if value.starts_with('\n') {
            line.trim_end()
        } else {
            &line
        });
        text.push_str(&value);
        text.push('\n');
    }
    text
}

/// Words from a column on; further lines begin at the same column. A text whose first word does not fit there stands on
/// lines of its own.
fn column(text: &str, at: usize) -> String {
    let first = text.split(' ').next().map_or(0, |word| word.chars().count());
    if at + first > COLUMNS && at > 2 * INDENT {
        let below = 2 * INDENT;
        return format!("\n{:below$}{}", "", column(text, below));
    }
    let mut written = String::new();
    let mut used = at;
    for (index, word) in text.split(' ').enumerate() {
        let width = word.chars().count();
        if index > 0 && used + 1 + width > COLUMNS {
            written.push('\n');
            written.push_str(&" ".repeat(at));
            used = at;
        } else if index > 0 {
            written.push(' ');
            used += 1;
        }
        written.push_str(word);
        used += width;
    }
    written
}

/// One object: its properties and its key.
#[derive(Debug, Clone)]
pub struct Object {
    /// Numbers and words, each in its own column, right-aligned.
    pub cells: Vec<String>,
    pub key: String,
}

impl Object {
    /// A key or a word from outside must not look like a separate line.
    fn harmless(&self) -> Object {
        let cells = self.cells.iter();
        Object {
            cells: cells.map(|cell| one_line(cell).into_owned()).collect(),
            key: one_line(&self.key).into_owned(),
        }
    }
}

/// Objects below a bucket, numbers first: the folder that all have in common is written once, and so is the beginning
/// of their names where lines would be too long. No key is broken but at a slash.
pub fn objects(place: &str, objects: &[Object]) -> String {
    let objects: &[Object] = &objects.iter().map(Object::harmless).collect::<Vec<_>>();
    let keys: Vec<&str> = objects.iter().map(|object| object.key.as_str()).collect();
    let common = common_beginning(&keys);
    let folder = common.rfind('/').map_or(0, |slash| slash + 1);
    let head = format!("{place}{}", &common[..folder]);
    let mut text = match head.as_str() {
        "" => String::new(),
        head => in_pieces(head, INDENT),
    };
    let indent = 2 * INDENT;
    let cells = aligned(objects);
    let fits = |skipped: usize, mark: usize| {
        objects.iter().zip(&cells).all(|(object, cells)| {
            let name = object.key[skipped..].chars().count() + mark;
            indent + cells.chars().count() + name <= COLUMNS
        })
    };
    let saved = common[folder..].chars().count();
    // Only where it makes the lines fit: a name in two pieces is harder to copy.
    let shortens = objects.len() > 1 && saved >= SHORTEST_STEM_CHARS && fits(common.len(), 1);
    let stem = if !fits(folder, 0) && shortens {
        text.push_str(&format!("{:indent$}{}…\n", "", &common[folder..]));
        common.len()
    } else {
        folder
    };
    let mark = if stem > folder { "…" } else { "" };
    let on_one_line = fits(stem, mark.chars().count());
    for (object, cells) in objects.iter().zip(&cells) {
        let name = &object.key[stem..];
        let line = match on_one_line || cells.trim().is_empty() {
            true => format!("{:indent$}{cells}{mark}{name}\n", ""),
            false => format!(
                "{:indent$}{}\n{}",
                "",
                cells.trim_end(),
                in_pieces(&format!("{mark}{name}"), indent + INDENT)
            ),
        };
        text.push_str(&line);
    }
    text
}

/// The cells of each line, padded, with a gap behind them.
fn aligned(objects: &[Object]) -> Vec<String> {
    let columns = objects.iter().map(|object| object.cells.len()).max();
    let widths: Vec<usize> = (0..columns.unwrap_or(0))
        .map(|column| {
            let cells = objects.iter().filter_map(|object| object.cells.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let line = |object: &Object| {
        let cell = |(column, width): (usize, &usize)| {
            let cell = object.cells.get(column).map_or("", String::as_str);
            format!("{cell:>width$}{:GAP$}", "", width = *width)
        };
        widths.iter().enumerate().map(cell).collect()
    };
    objects.iter().map(line).collect()
}

/// What all of them begin with.
fn common_beginning<'a>(keys: &[&'a str]) -> &'a str {
    let Some((first, rest)) = keys.split_first() else {
        return "";
    };
    let mut end = first.len();
    for key in rest {
        let same = first
            .char_indices()
            .zip(key.chars())
            .find(|((_, a), b)| a != b)
            .map_or(first.len().min(key.len()), |((at, _), _)| at);
        end = end.min(same);
    }
    // Where one key is the beginning of another, the shorter one's end may lie inside a character of neither.
    while !first.is_char_boundary(end) {
        end -= 1;
    }
    &first[..end]
}

/// An address or a key on its own lines, broken at slashes where necessary.
pub fn in_pieces(text: &str, indent: usize) -> String {
    let mut written = " ".repeat(indent);
    let mut used = indent;
    for piece in text.split_inclusive('/') {
        let width = piece.chars().count();
        if used > indent && used + width > COLUMNS {
            written.push('\n');
            written.push_str(&" ".repeat(indent + INDENT));
            used = indent + INDENT;
        }
        written.push_str(piece);
        used += width;
    }
    written.push('\n');
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(cells: &[&str], key: &str) -> Object {
        Object {
            cells: cells.iter().map(|cell| (*cell).to_owned()).collect(),
            key: key.to_owned(),
        }
    }

    const HOUR: &str = "2026-01-01T00:00:00+00:00-2026-01-01T01:00:00+00:00";

    #[test]
    fn short_keys_stand_behind_their_numbers() {
        let files = [
            object(&["1,500 rows", "2.00 KiB"], "x/a-0.jsonl"),
            object(&["500 rows", "12.00 KiB"], "x/a-1.jsonl"),
            object(&["", "manifest"], "x/a_manifest.json"),
        ];
        assert_eq!(
            objects("s3://bucket/", &files),
            "  s3://bucket/x/
    1,500 rows   2.00 KiB  a-0.jsonl
      500 rows  12.00 KiB  a-1.jsonl
                 manifest  a_manifest.json
"
        );
    }

    #[test]
    fn the_beginning_of_long_names_is_written_once() {
        let key = |ending: &str| format!("events/2026/01/01/{HOUR}{ending}");
        let files = [
            object(&["75,103 rows", "10.00 MiB", "OK"], &key("-0.parquet.zst")),
            object(&["4,897 rows", "668.27 KiB", "OK"], &key("-1.parquet.zst")),
        ];
        assert_eq!(
            objects("s3://bucket/", &files),
            format!(
                "  s3://bucket/events/2026/01/01/
    {HOUR}-…
    75,103 rows   10.00 MiB  OK  …0.parquet.zst
     4,897 rows  668.27 KiB  OK  …1.parquet.zst
"
            )
        );
    }

    #[test]
    fn without_objects_and_without_a_folder_there_is_no_empty_line() {
        assert_eq!(objects("", &[]), "");
        assert_eq!(objects("", &[object(&["1 B"], "a")]), "    1 B  a\n");
    }

    #[test]
    fn one_long_name_stands_below_its_numbers_whole() {
        let key = format!("events/2026/01/01/{HOUR}.parquet.zst");
        let text = objects("s3://bucket/", &[object(&["75,103 rows", "10.00 MiB"], &key)]);
        assert_eq!(
            text,
            format!("  s3://bucket/events/2026/01/01/\n    75,103 rows  10.00 MiB\n      {HOUR}.parquet.zst\n")
        );
    }

    #[test]
    fn no_line_is_longer_than_a_terminal_and_no_key_is_lost() {
        for folders in 0..12 {
            for files in 1..4 {
                let listed: Vec<Object> = (0..files)
                    .map(|file| {
                        let folder = format!("folder-{folders}é/").repeat(folders);
                        object(&["1,234,567 rows", "999.99 MiB"], &format!("{folder}{HOUR}-{file}"))
                    })
                    .collect();
                let text = objects("s3://a-bucket/", &listed);
                for line in text.lines() {
                    assert!(line.chars().count() <= COLUMNS, "{line}");
                }
                let joined: String = text.split_whitespace().collect();
                assert!(joined.contains(HOUR), "{text}");
            }
        }
    }

    #[test]
    fn beginnings_are_common_to_all() {
        for (keys, expect) in [
            (&["a/b", "a/c"][..], "a/"),
            (&["a/b"], "a/b"),
            (&["é1", "è1"], ""),
            (&["é1", "é"], "é"),
            (&["x", "é"], ""),
            (&[], ""),
        ] {
            assert_eq!(common_beginning(keys), expect, "{keys:?}");
        }
    }

    #[test]
    fn values_that_are_too_long_go_on_below_themselves() {
        let rows = [("name".to_owned(), "word ".repeat(30).trim().to_owned())];
        let text = table(&rows);
        assert!(text.lines().count() > 1);
        for line in text.lines() {
            assert!(line.chars().count() <= COLUMNS, "{line}");
        }
        let long = "x".repeat(70);
        assert_eq!(
            table(&[("long name".to_owned(), long.clone())]),
            format!("  long name\n    {long}\n")
        );
        assert!(text.lines().nth(1).is_some_and(|line| line.starts_with("        word")));
    }
}
