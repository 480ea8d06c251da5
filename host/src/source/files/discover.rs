//! Which files a `path` means: one file, a folder with everything below it, or a glob; always in the order of their
//! names. Looks at names only.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::super::SourceError;

/// Every file is opened before the first row, so that a wrong one fails the run early: a hundred thousand headers
/// are minutes.
const MAX_FILES: usize = 100_000;
/// Folders inside folders; a link that points upwards would have no end.
const MAX_DEPTH: usize = 32;

/// Names that a folder is searched for; packing endings may follow.
const ENDINGS: [&str; 9] = [
    ".parquet", ".arrow", ".arrows", ".feather", ".ipc", ".jsonl", ".ndjson", ".csv", ".tsv",
];
const PACKING_ENDINGS: [&str; 7] = [".gz", ".zst", ".lz4", ".br", ".sz", ".snappy", ".gzip"];
const EXPECTED: &str = ".parquet, .arrow, .feather, .ipc, .jsonl, .ndjson, .csv or .tsv";

/// The files of `path`, which starts at `base` if it is relative.
pub fn files(base: &Path, path: &str) -> Result<Vec<PathBuf>, SourceError> {
    let literal = base.join(path);
    match fs::metadata(&literal) {
        Ok(found) if found.is_dir() => return folder(&literal),
        Ok(_) => return Ok(vec![literal]),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(source) => {
            return Err(SourceError::Unreadable {
                path: literal,
                source,
            });
        }
    }
    if path.contains(['*', '?', '[']) {
        matching(base, path)
    } else {
        Err(SourceError::NotFound(literal))
    }
}

fn matching(base: &Path, path: &str) -> Result<Vec<PathBuf>, SourceError> {
    let pattern = if Path::new(path).is_absolute() || base.as_os_str().is_empty() {
        path.to_owned()
    } else {
        let base = glob::Pattern::escape(&base.to_string_lossy());
        format!("{}/{path}", base.trim_end_matches('/'))
    };
    let bad = |cause: String| SourceError::BadGlob {
        pattern: path.to_owned(),
        cause,
    };
    let mut files = Vec::new();
    for found in glob::glob(&pattern).map_err(|error| bad(error.msg.to_owned()))? {
        let found = found.map_err(|error| SourceError::Unreadable {
            path: error.path().to_path_buf(),
            source: error.into(),
        })?;
        if found.is_file() {
            files.push(found);
        }
        limited(base, &files)?;
    }
    if files.is_empty() {
        return Err(SourceError::NothingMatches {
            pattern: path.to_owned(),
        });
    }
    files.sort();
    Ok(files)
}

fn folder(root: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let mut files = Vec::new();
    let mut folders = vec![(root.to_path_buf(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let unreadable = |source| SourceError::Unreadable {
            path: folder.clone(),
            source,
        };
        for entry in fs::read_dir(&folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // Hidden and half-written files, as everywhere where folders are tables.
            if name.starts_with(['.', '_']) {
                continue;
            }
            if path.is_dir() {
                if depth < MAX_DEPTH {
                    folders.push((path, depth + 1));
                }
            } else if is_data(&name) {
                files.push(path);
            }
        }
        limited(root, &files)?;
    }
    if files.is_empty() {
        return Err(SourceError::EmptyFolder {
            folder: root.to_path_buf(),
            expected: EXPECTED,
        });
    }
    files.sort();
    Ok(files)
}

fn limited(place: &Path, files: &[PathBuf]) -> Result<(), SourceError> {
    if files.len() > MAX_FILES {
        return Err(SourceError::TooManyFiles {
            place: place.to_path_buf(),
            limit: MAX_FILES,
        });
    }
    Ok(())
}

fn is_data(name: &str) -> bool {
    ENDINGS
        .iter()
        .any(|ending| unpacked_name(name).ends_with(ending))
}

/// A file's name in lower case without the ending of its packing.
pub fn unpacked_name(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    match PACKING_ENDINGS
        .iter()
        .find_map(|ending| name.strip_suffix(ending))
    {
        Some(unpacked) => unpacked.to_owned(),
        None => name,
    }
}
