//! Counts the rows of source files once more, with other decoders and no parser: what the readers lose, which a run and
//! its verification share, shows as a difference. Changes nothing and compares no value.

use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::decode;
use super::footer;
use batch_export_source::{FilesSettings, Selection, SourceError, TextFormat};
use batch_export_system::explain::{count, counted};
use batch_export_system::{Token, open_regular};

/// Bytes looked at once.
const BUFFER_BYTES: usize = 64 << 10;
/// Number of bytes that reveal how a file is compressed and what it contains.
const HEAD_BYTES: u64 = 8;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Endings of compressed files, in lower case.
const COMPRESSED: [&str; 6] = [".gz", ".gzip", ".zst", ".br", ".lz4", ".bz2"];

/// Rows of all files.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Recount {
    /// Rows of the files that could be counted.
    pub rows: u64,
    /// Files that could not, and why the first of them could not.
    pub uncounted: u64,
    pub reason: Option<String>,
}

impl Recount {
    /// Returns what is wrong with a reader that found this many rows; `None` where the counts agree.
    pub(super) fn fault(&self, read: u64) -> Option<String> {
        let differs = match self.uncounted {
            0 => self.rows != read,
            _ => self.rows > read,
        };
        differs.then(|| {
            let least = if self.uncounted == 0 { "" } else { "at least " };
            format!(
                "the source's reader found {}, but a second count of its files finds {least}{}",
                counted(read, "row"),
                count(self.rows)
            )
        })
    }
}

/// Counts the rows of every file that the source reads for a selection. Blocking.
pub(super) fn recount(settings: &FilesSettings, selection: &Selection, token: &Token) -> Result<Recount, SourceError> {
    let mut found = Recount::default();
    for path in batch_export_source::paths(settings, selection, token)? {
        let rows = rows_of(&path, settings, token);
        token.check()?;
        match rows {
            Ok(rows) => found.rows = found.rows.saturating_add(rows),
            Err(error) => {
                found.uncounted += 1;
                let reason = || format!("{}: {error}", path.display());
                found.reason.get_or_insert_with(reason);
            }
        }
    }
    Ok(found)
}

fn rows_of(path: &Path, settings: &FilesSettings, token: &Token) -> io::Result<u64> {
    let mut file = open_regular(path)?;
    let name = path.file_name().unwrap_or_default();
    let name = name.to_string_lossy().to_ascii_lowercase();
    let outer = head(&mut file)?;
    file.seek(SeekFrom::Start(0))?;
    if outer.starts_with(b"PAR1") {
        return footer::rows(&mut file);
    }
    let codec = codec(&outer, &name)?;
    let mut text = decode::open_many(file, codec)?;
    let inner = head(&mut text)?;
    if inner.starts_with(b"PAR1") || inner.starts_with(b"ARROW1") || inner.starts_with(&[0xff; 4]) {
        return Err(io::Error::other("only text and Parquet are counted twice"));
    }
    let inner = inner.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&inner).to_vec();
    let text = io::Cursor::new(inner).chain(WhileWanted { text, token });
    let text = BufReader::with_capacity(BUFFER_BYTES, text);
    match holds_csv(&name, settings.format) {
        true => csv_rows(text, settings.dialect.quotes),
        false => json_rows(text),
    }
}

/// Text that ends with an error once it is no longer wanted.
struct WhileWanted<'a, R> {
    text: R,
    token: &'a Token,
}

impl<R: Read> Read for WhileWanted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.token.check().map_err(io::Error::other)?;
        self.text.read(buffer)
    }
}

fn head(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    from.take(HEAD_BYTES).read_to_end(&mut head)?;
    Ok(head)
}

/// How a file is compressed, by its first bytes and, for brotli, which has no mark, by its name.
fn codec(head: &[u8], name: &str) -> io::Result<&'static str> {
    match head {
        [0x1f, 0x8b, ..] => Ok("gzip"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok("zstd"),
        // Skippable frames, of zstd or lz4.
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] if !name.ends_with(".lz4") => Ok("zstd"),
        [0x04, 0x22, 0x4d, 0x18, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            Err(io::Error::other("there is no second decoder for lz4"))
        }
        _ if name.ends_with(".br") => Ok("brotli"),
        _ => Ok("none"),
    }
}

fn holds_csv(name: &str, format: Option<TextFormat>) -> bool {
    let plain = COMPRESSED.iter().find_map(|end| name.strip_suffix(end));
    let plain = plain.unwrap_or(name);
    match format {
        Some(format) => format == TextFormat::Csv,
        None => plain.ends_with(".csv") || plain.ends_with(".tsv"),
    }
}

/// Lines that are not blank. No line is held.
fn json_rows(mut text: impl BufRead) -> io::Result<u64> {
    let (mut rows, mut has_content) = (0, false);
    each_byte(&mut text, |byte| {
        match byte {
            b'\n' => rows += u64::from(std::mem::take(&mut has_content)),
            other => has_content |= !other.is_ascii_whitespace(),
        };
    })?;
    Ok(rows + u64::from(has_content))
}

/// Records without the first, which has the names. A line break between quotes ends no record, and a line without a
/// byte is none.
fn csv_rows(mut text: impl BufRead, has_quotes: bool) -> io::Result<u64> {
    let (mut records, mut has_content, mut is_quoted) = (0_u64, false, false);
    each_byte(&mut text, |byte| match byte {
        b'\n' | b'\r' if !is_quoted => records += u64::from(std::mem::take(&mut has_content)),
        other => {
            // Two quotes for one inside a field close and open again: the parity is what counts.
            is_quoted ^= has_quotes && other == b'"';
            has_content = true;
        }
    })?;
    Ok((records + u64::from(has_content)).saturating_sub(1))
}

fn each_byte(text: &mut impl BufRead, mut each: impl FnMut(u8)) -> io::Result<()> {
    loop {
        let bytes = text.fill_buf()?;
        let length = bytes.len();
        if length == 0 {
            return Ok(());
        }
        bytes.iter().copied().for_each(&mut each);
        text.consume(length);
    }
}

#[cfg(test)]
mod tests;
