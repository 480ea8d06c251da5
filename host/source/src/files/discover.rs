//! The files that a `path` means: one file, a folder with everything below it, or a glob; always in the order of their
//! names, each file once. Says what it met and did not take. Looks at names and kinds only, and opens no file.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use batch_export_system::Token;
use batch_export_system::explain::{Cause, count};

use super::super::SourceError;
use super::keys::{self, Key};
use super::periods::{self, Period, Periods};
use super::walk::{self, Part, Walk};
use crate::interval::Interval;

/// Names that a folder is searched for; the ending of a compression may follow.
const ENDINGS: [&str; 9] = [
    ".parquet", ".arrow", ".arrows", ".feather", ".ipc", ".jsonl", ".ndjson", ".csv", ".tsv",
];
const PACKING_ENDINGS: [&str; 7] = [".gz", ".zst", ".lz4", ".br", ".sz", ".snappy", ".gzip"];
const EXPECTED: &str = ".parquet, .arrow, .feather, .ipc, .jsonl, .ndjson, .csv or .tsv";
/// Maximum number of globs that the braces of one `path` may expand to: each is a separate walk.
const MAX_ALTERNATIVES: usize = 1_000;
/// Names that a warning repeats.
const NAMES_SHOWN: usize = 3;

/// A file to be read.
#[derive(Debug)]
pub(crate) struct FoundFile {
    pub path: PathBuf,
    /// Columns that its folders' names hold.
    pub keys: Vec<Key>,
}

/// The meaning of a `path`.
#[derive(Debug)]
pub(super) struct Found {
    /// In the order of their names.
    pub(super) files: Vec<FoundFile>,
    pub(super) skipped: Skipped,
    /// Names that were met: as many as files and names skipped, or one was lost on the way.
    pub(super) seen: u64,
    /// Which periods of the interval have no files, where the `path` has periods.
    pub(super) without_files: Option<Cause>,
    /// A file of another period, where none of the interval's has any: it has the columns that theirs would have.
    pub(super) other: Option<FoundFile>,
}

/// Names of one kind that were not taken: how many, and the first of them.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub count: u64,
    first: Vec<PathBuf>,
}

impl Names {
    pub(crate) fn add(&mut self, path: PathBuf) {
        self.count += 1;
        if self.first.len() < NAMES_SHOWN {
            self.first.push(path);
        }
    }

    fn shown(&self, base: &Path) -> String {
        let names: Vec<String> = self
            .first
            .iter()
            .map(|path| path.strip_prefix(base).unwrap_or(path).display().to_string())
            .collect();
        match self.count - names.len() as u64 {
            0 => names.join(", "),
            more => format!("{} and {more} more", names.join(", ")),
        }
    }
}

/// Names that were met and not taken.
#[derive(Debug, Default)]
pub(crate) struct Skipped {
    /// Names that begin with `.` or `_`, as everywhere where folders are tables.
    pub hidden: Names,
    /// Files of a folder whose names do not say that they hold rows.
    pub other_names: Names,
    /// Further names of what is read already.
    pub repeated: Names,
}

impl Skipped {
    /// Returns a sentence for each kind, with what to do about it where anybody might want to.
    pub(crate) fn warnings(&self, base: &Path) -> Vec<Cause> {
        let told = [
            (
                &self.other_names,
                "of the folder's files were not read, because their names do not indicate their format",
                Some("to read them, match them with a glob in the source's `path`, or rename them"),
            ),
            (
                &self.hidden,
                "files or folders were not read, because their names begin with `.` or `_`",
                None,
            ),
            (
                &self.repeated,
                "further names refer to files or folders that are read under another name, and were not read again",
                None,
            ),
        ];
        told.into_iter()
            .filter(|(names, _, _)| names.count > 0)
            .map(|(names, what, hint)| {
                let warning = Cause::new(format!("{} {what}: {}", names.count, names.shown(base)));
                match hint {
                    Some(hint) => warning.with_hint(hint),
                    None => warning,
                }
            })
            .collect()
    }

    /// Returns the same for the end of a sentence that says that nothing was found.
    fn aside(&self, base: &Path) -> String {
        let told = [
            (&self.hidden, "hidden by a leading `.` or `_`"),
            (&self.other_names, "of other names"),
        ];
        let told: Vec<String> = told
            .into_iter()
            .filter(|(names, _)| names.count > 0)
            .map(|(names, what)| format!("{} {what}: {}", names.count, names.shown(base)))
            .collect();
        match told.is_empty() {
            true => String::new(),
            false => format!(" (but {})", told.join("; ")),
        }
    }
}

/// Returns what is wrong with a `path`, which starts at `base` if it is relative, as a glob or whatever the disk holds.
pub fn check_pattern(base: &Path, path: &str) -> Result<(), Cause> {
    check(path)?;
    // A name that happens to hold a bracket is not a glob.
    if fs::symlink_metadata(base.join(path)).is_ok() {
        return Ok(());
    }
    for alternative in alternatives(&all_periods(path)?)? {
        walk::parse(&alternative).map_err(|cause| {
            Cause::new(format!("`{alternative}` is not a valid glob: {cause}"))
                .with_hint("write `[[]` for a bracket that is part of a name")
        })?;
    }
    Ok(())
}

/// Returns what is wrong with a `path` whatever the disk holds.
fn check(path: &str) -> Result<(), Cause> {
    if let Some((scheme, _)) = path.split_once("://") {
        return Err(
            Cause::new(format!("files are read from this machine only, not from `{scheme}://`"))
                .with_hint("copy them to this machine, and name a file, a folder or a glob"),
        );
    }
    if path == "~" || path.starts_with("~/") {
        return Err(Cause::new("`~` is not expanded to a home folder").with_hint("use the full path of the folder"));
    }
    if path.is_empty() {
        return Err(Cause::new("it is empty").with_hint("name a file, a folder or a glob"));
    }
    if path.contains('\0') {
        return Err("it contains a NUL character, which file names cannot contain".into());
    }
    alternatives(&all_periods(path)?).map(|_| ())
}

/// Returns a `path` with globs in place of variables.
fn all_periods(path: &str) -> Result<String, Cause> {
    Ok(periods::parse(path)?.map_or_else(|| path.to_owned(), |periods| periods.glob()))
}

/// Returns whether a `path` says which of its files belong to an interval.
pub(crate) fn has_periods(path: &str) -> bool {
    periods::parse(path).is_ok_and(|periods| periods.is_some())
}

/// Returns the files of `path`, which starts at `base` if it is relative, for an interval.
pub(super) fn files(base: &Path, path: &str, interval: &Interval, token: &Token) -> Result<Found, SourceError> {
    let bad = |cause| SourceError::BadPath {
        path: path.to_owned(),
        cause,
    };
    check(path).map_err(bad)?;
    let new_walk = || Walk::new(base, Path::new(path).is_absolute(), token);
    let mut walk = new_walk();
    let all = all_periods(path).map_err(bad)?;
    let mut without_files = None;
    // A name that happens to hold a brace or a bracket.
    if fs::symlink_metadata(base.join(path)).is_ok() {
        take(&mut walk, base, path)?;
    } else if let Some(periods) = periods::parse(path).map_err(bad)?
        && let Some(list) = periods.of(interval).map_err(bad)?
    {
        let per_period = alternatives(&all).map_err(bad)?.len();
        if Periods::are_too_many(list.len(), per_period) {
            return Err(bad(periods.too_many()));
        }
        without_files = take_periods(&mut walk, base, path, &periods, &list)?;
    } else {
        take_all(&mut walk, base, path, &all)?;
    }
    let mut found = walk.found()?;
    if found.files.is_empty() {
        // An hour without files is usual; a path that never has any is a mistake.
        if without_files.is_some() {
            let mut walk = new_walk();
            take_all(&mut walk, base, path, &all)?;
            found.other = walk.found()?.files.into_iter().max_by(|a, b| a.path.cmp(&b.path));
        }
        if found.other.is_none() {
            return Err(nothing(base, &all, path, &found.skipped));
        }
    }
    found.without_files = without_files;
    found.files.sort_by(|a, b| a.path.cmp(&b.path));
    for file in &found.files {
        if let Some(name) = keys::doubled(&file.keys) {
            return Err(SourceError::BadColumn {
                cause: Cause::new("the names of two of its folders contain it").with_hint("rename one of the folders"),
                column: name.to_owned(),
                path: file.path.clone(),
            });
        }
    }
    Ok(found)
}

/// Takes what a path means that has no variables.
fn take_all(walk: &mut Walk, base: &Path, path: &str, all: &str) -> Result<(), SourceError> {
    let bad = |cause| SourceError::BadPath {
        path: path.to_owned(),
        cause,
    };
    for alternative in alternatives(all).map_err(bad)? {
        take(walk, base, &alternative)?;
    }
    Ok(())
}

/// Takes what a path means for each of these periods. Returns which of them have no files.
fn take_periods(
    walk: &mut Walk,
    base: &Path,
    path: &str,
    periods: &Periods<'_>,
    list: &[Period],
) -> Result<Option<Cause>, SourceError> {
    let bad = |cause| SourceError::BadPath {
        path: path.to_owned(),
        cause,
    };
    let (mut missing, mut empty) = (Vec::new(), 0_usize);
    for period in list {
        let before = walk.met_files();
        let mut absent = Vec::new();
        for alternative in alternatives(&period.path).map_err(bad)? {
            match take(walk, base, &alternative) {
                // A file or folder of its own that is not there is as good as a folder without files.
                Err(SourceError::NotFound(_)) => absent.push(alternative),
                taken => taken?,
            }
        }
        if walk.met_files() == before {
            empty += 1;
            absent = vec![period.name.clone()];
        }
        missing.extend(absent);
    }
    if missing.is_empty() {
        return Ok(None);
    }
    let shown = missing.iter().take(NAMES_SHOWN).cloned().collect::<Vec<_>>().join(", ");
    let further = match missing.len().saturating_sub(NAMES_SHOWN) {
        0 => String::new(),
        more => format!(" and {} more", count(more as u64)),
    };
    let of_all = match list.len() {
        1 => String::new(),
        all => format!(
            " ({} of {} {})",
            count(empty as u64),
            count(all as u64),
            periods.in_words()
        ),
    };
    Ok(Some(
        Cause::new(format!("the source's `path` has no files for {shown}{further}{of_all}"))
            .with_hint("if they should be there, run the interval again when they are"),
    ))
}

/// Takes what one path without braces means.
fn take(walk: &mut Walk, base: &Path, path: &str) -> Result<(), SourceError> {
    let literal = base.join(path);
    match fs::metadata(&literal) {
        Ok(found) if found.is_dir() => return walk.below(&literal, &[Part::Any, Part::Data]),
        Ok(_) => return walk.file(literal),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if let Ok(target) = fs::read_link(&literal) {
                return Err(SourceError::DanglingLink { path: literal, target });
            }
        }
        Err(source) => {
            return Err(SourceError::Unreadable { path: literal, source });
        }
    }
    let (head, parts) = walk::parse(path).map_err(|cause| SourceError::BadGlob {
        pattern: path.to_owned(),
        cause,
    })?;
    if parts.is_empty() {
        return Err(SourceError::NotFound(literal));
    }
    match fs::metadata(base.join(&head)) {
        Ok(_) => walk.below(&base.join(head), &parts),
        // Nothing can match below a folder that is not there.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(source) => Err(SourceError::Unreadable {
            path: base.join(head),
            source,
        }),
    }
}

fn nothing(base: &Path, all: &str, path: &str, skipped: &Skipped) -> SourceError {
    let literal = base.join(path);
    if literal.is_dir() {
        return SourceError::EmptyFolder {
            folder: literal,
            expected: EXPECTED,
            skipped: skipped.aside(base),
        };
    }
    let head = walk::parse(all).map_or_else(|_| PathBuf::new(), |(head, _)| head);
    let place = match head.as_os_str().is_empty() {
        true => base.to_path_buf(),
        false => base.join(head),
    };
    let place = std::path::absolute(&place).unwrap_or(place);
    SourceError::NothingMatches {
        pattern: path.to_owned(),
        place,
        skipped: skipped.aside(base),
    }
}

/// Expands a path with braces: `a{b,c}` for `ab` and `ac`, as in a shell.
fn alternatives(path: &str) -> Result<Vec<String>, Cause> {
    let mut done = Vec::new();
    let mut open = vec![path.to_owned()];
    while let Some(path) = open.pop() {
        let Some((before, choices, after)) = first_braces(&path)? else {
            done.push(path);
            continue;
        };
        open.extend(
            choices
                .into_iter()
                .rev()
                .map(|choice| format!("{before}{choice}{after}")),
        );
        if open.len() + done.len() > MAX_ALTERNATIVES {
            let most = count(MAX_ALTERNATIVES as u64);
            return Err(Cause::new(format!("its braces expand to more than {most} globs")).with_hint("use `*`"));
        }
    }
    Ok(done)
}

/// The text before, between and after the first braces that hold a comma. Others are part of a name.
type Braces<'a> = (&'a str, Vec<&'a str>, &'a str);

fn first_braces(path: &str) -> Result<Option<Braces<'_>>, Cause> {
    for (start, _) in path.match_indices('{') {
        let cuts = cuts(path, start)?;
        if let [open, _, .., close] = cuts[..] {
            let choices = cuts.windows(2).map(|cut| &path[cut[0] + 1..cut[1]]);
            return Ok(Some((&path[..open], choices.collect(), &path[close + 1..])));
        }
    }
    Ok(None)
}

/// Returns where the braces that open at `start` open, have commas of their own, and close.
fn cuts(path: &str, start: usize) -> Result<Vec<usize>, Cause> {
    let (mut depth, mut cuts) = (0_usize, vec![start]);
    for (at, character) in path[start..].char_indices() {
        match character {
            '{' => depth += 1,
            ',' if depth == 1 => cuts.push(start + at),
            '}' if depth == 1 => {
                cuts.push(start + at);
                return Ok(cuts);
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    Err(Cause::new(format!("the brace `{}` is never closed", &path[start..])).with_hint("write it like `{a,b}`"))
}

/// Returns whether a name says that its file holds rows.
pub(crate) fn is_data(name: &str) -> bool {
    ENDINGS.iter().any(|ending| unpacked_name(name).ends_with(ending))
}

/// Returns a file's name in lower case without the ending of its compression.
pub(crate) fn unpacked_name(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    match PACKING_ENDINGS.iter().find_map(|ending| name.strip_suffix(ending)) {
        Some(unpacked) => unpacked.to_owned(),
        None => name,
    }
}
