//! Walks through folders by the parts of a glob. Each file and folder is met once, by what it is and what its folders'
//! names hold: links and further names of a file add no rows, and circles end. Opens no file.

use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};
use std::fs::{self, FileType, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use glob::Pattern;

use super::super::SourceError;
use super::discover::{FoundFile, Skipped, is_data};
use super::keys::{self, Key};

/// Every file is opened before the first row, so that a wrong one fails the run early: a hundred thousand headers
/// are minutes.
const MAX_FILES: usize = 100_000;
/// Folders that are listed: eleven years of hours. More are a glob that begins too high.
const MAX_FOLDERS: usize = 100_000;

/// One component of a path that is searched for.
#[derive(Debug)]
pub enum Part {
    /// Any number of folders.
    Any,
    /// A file whose name says that it holds rows.
    Data,
    Literal(String),
    Name(Pattern),
}

/// The head of a glob without wildcards, and the parts behind it.
pub fn parse(path: &str) -> Result<(PathBuf, Vec<Part>), String> {
    let mut head = PathBuf::from(if path.starts_with('/') { "/" } else { "" });
    let mut parts: Vec<Part> = Vec::new();
    for component in path.split('/').filter(|name| !matches!(*name, "" | ".")) {
        let is_wild = component.contains(['*', '?', '[']);
        match component {
            "**" if matches!(parts.last(), Some(Part::Any)) => {}
            "**" => parts.push(Part::Any),
            name if is_wild => {
                let pattern = Pattern::new(name).map_err(|error| error.msg.to_owned())?;
                parts.push(Part::Name(pattern));
            }
            name if parts.is_empty() => head.push(name),
            name => parts.push(Part::Literal(name.to_owned())),
        }
    }
    if matches!(parts.last(), Some(Part::Any)) {
        parts.push(Part::Data);
    }
    Ok((head, parts))
}

impl Part {
    fn matches(&self, name: &str) -> bool {
        match self {
            Part::Any => false,
            Part::Data => is_data(name),
            Part::Literal(literal) => literal == name,
            Part::Name(pattern) => pattern.matches(name),
        }
    }

    /// Whether it names what is hidden.
    fn takes_hidden(&self) -> bool {
        match self {
            Part::Any | Part::Data => false,
            Part::Literal(_) => true,
            Part::Name(pattern) => is_hidden(pattern.as_str()),
        }
    }
}

fn is_hidden(name: &str) -> bool {
    name.starts_with(['.', '_'])
}

/// What a file or folder is, whatever it is called.
#[cfg(unix)]
type Identity = (u64, u64);

#[cfg(unix)]
fn identity(_: &Path, metadata: &Metadata) -> io::Result<Identity> {
    use std::os::unix::fs::MetadataExt;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
type Identity = PathBuf;

#[cfg(not(unix))]
fn identity(path: &Path, _: &Metadata) -> io::Result<Identity> {
    fs::canonicalize(path)
}

/// What a file type is in words, where it is neither a file nor a folder.
fn in_words(kind: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a named pipe";
        }
        if kind.is_socket() {
            return "a socket";
        }
        if kind.is_block_device() || kind.is_char_device() {
            return "a device";
        }
    }
    match kind.is_dir() {
        true => "a folder",
        false => "something else",
    }
}

/// A regular file's metadata, or an error that says what it is instead.
pub fn regular(path: &Path, metadata: &Metadata) -> Result<(), SourceError> {
    match metadata.is_file() {
        true => Ok(()),
        false => Err(SourceError::NotAFile {
            path: path.to_path_buf(),
            what: in_words(metadata.file_type()),
        }),
    }
}

/// A folder to be listed for the parts from `at` on.
type Waiting = (PathBuf, usize);

/// A folder for the parts from a number on, under the keys of its name.
type Listed = (Identity, Vec<Key>, usize);

/// What one `path` was found to mean so far.
pub struct Walk {
    base: PathBuf,
    /// Whether `path` names every folder itself, those above `base` too.
    is_absolute: bool,
    folders: HashMap<Listed, PathBuf>,
    /// Each file, as often as it stands in folders that hold other values.
    files: HashMap<Identity, Vec<FoundFile>>,
    /// Files of all kinds of folders together.
    taken: usize,
    /// What links lead to, looked at last: a file keeps the name that it has itself.
    linked_files: Vec<PathBuf>,
    linked: VecDeque<Waiting>,
    waiting: VecDeque<Waiting>,
    listed: usize,
    skipped: Skipped,
}

impl Walk {
    pub fn new(base: &Path, is_absolute: bool) -> Self {
        Self {
            base: base.to_path_buf(),
            is_absolute,
            folders: HashMap::new(),
            files: HashMap::new(),
            taken: 0,
            linked_files: Vec::new(),
            linked: VecDeque::new(),
            waiting: VecDeque::new(),
            listed: 0,
            skipped: Skipped::default(),
        }
    }

    /// Takes everything below a folder that the parts match.
    pub fn below(&mut self, root: &Path, parts: &[Part]) -> Result<(), SourceError> {
        // Parts of another glob have other numbers.
        self.folders.clear();
        self.waiting.push_back((root.to_path_buf(), 0));
        while let Some((folder, at)) = self.waiting.pop_front().or_else(|| self.linked.pop_front())
        {
            if self.enter(&folder, at)? {
                self.list(&folder, parts, at)?;
            }
        }
        Ok(())
    }

    /// Takes one file.
    pub fn file(&mut self, path: PathBuf) -> Result<(), SourceError> {
        let metadata = fs::metadata(&path).map_err(|error| unreadable(&path, error))?;
        regular(&path, &metadata)?;
        let identity = identity(&path, &metadata).map_err(|error| unreadable(&path, error))?;
        let keys = keys::of(self.named(&path))?;
        let known = self.files.entry(identity).or_default();
        if known.iter().any(|file| file.path == path) {
            return Ok(());
        }
        let sorted = keys::sorted(&keys);
        if known.iter().any(|file| keys::sorted(&file.keys) == sorted) {
            self.skipped.repeated.add(path);
            return Ok(());
        }
        // The same rows with and without a column would be rows twice.
        if let Some(other) = known
            .iter()
            .find(|file| !keys::have_same_names(&keys::sorted(&file.keys), &sorted))
        {
            return Err(SourceError::OneFile {
                path,
                other: other.path.clone(),
            });
        }
        known.push(FoundFile { path, keys });
        self.taken += 1;
        self.limited("files", self.taken, MAX_FILES)
    }

    /// The part of a path whose folders' names are columns: what the source's `path` names and what is below it,
    /// however the configuration's folder is spelled.
    fn named<'a>(&self, path: &'a Path) -> &'a Path {
        match self.is_absolute {
            true => path,
            false => path.strip_prefix(&self.base).unwrap_or(path),
        }
    }

    /// All that was found.
    pub fn found(mut self) -> Result<(Vec<FoundFile>, Skipped), SourceError> {
        for path in std::mem::take(&mut self.linked_files) {
            self.file(path)?;
        }
        let files = self.files.into_values().flatten();
        Ok((files.collect(), self.skipped))
    }

    /// Whether a folder is met for the first time.
    fn enter(&mut self, folder: &Path, at: usize) -> Result<bool, SourceError> {
        let metadata = fs::metadata(folder).map_err(|error| unreadable(folder, error))?;
        let identity = identity(folder, &metadata).map_err(|error| unreadable(folder, error))?;
        let mut listed: Listed = (identity, Vec::new(), at);
        if self.is_circle(folder, &mut listed)? {
            self.skipped.repeated.add(folder.to_path_buf());
            return Ok(false);
        }
        listed.1 = keys::sorted(&keys::in_folders(self.named(folder))?);
        match self.folders.entry(listed) {
            Entry::Occupied(known) => {
                if known.get() != folder {
                    self.skipped.repeated.add(folder.to_path_buf());
                }
                return Ok(false);
            }
            Entry::Vacant(new) => new.insert(folder.to_path_buf()),
        };
        self.listed += 1;
        self.limited("folders", self.listed, MAX_FOLDERS)?;
        Ok(true)
    }

    /// Whether a folder is one that it stands in itself. Its name may add keys, so those would not end the circle.
    fn is_circle(&self, folder: &Path, listed: &mut Listed) -> Result<bool, SourceError> {
        let inside = |above: &&Path| self.is_absolute || above.starts_with(&self.base);
        for above in folder.ancestors().skip(1).take_while(inside) {
            listed.1 = keys::sorted(&keys::in_folders(self.named(above))?);
            if self.folders.get(listed).is_some_and(|path| path == above) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn limited(&self, what: &'static str, found: usize, limit: usize) -> Result<(), SourceError> {
        if found > limit {
            return Err(SourceError::TooMany {
                place: self.base.clone(),
                what,
                limit,
            });
        }
        Ok(())
    }

    fn list(&mut self, folder: &Path, parts: &[Part], at: usize) -> Result<(), SourceError> {
        let mut entries = fs::read_dir(folder)
            .and_then(|entries| entries.collect::<io::Result<Vec<_>>>())
            .map_err(|error| unreadable(folder, error))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        // `**` is also no folder at all.
        let last = at + usize::from(matches!(parts[at], Part::Any));
        for entry in entries {
            let path = entry.path();
            let kind = entry
                .file_type()
                .map_err(|error| unreadable(&path, error))?;
            self.meet(path, kind, parts, at..=last)?;
        }
        Ok(())
    }

    fn meet(
        &mut self,
        path: PathBuf,
        kind: FileType,
        parts: &[Part],
        active: std::ops::RangeInclusive<usize>,
    ) -> Result<(), SourceError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_link = kind.is_symlink();
        // A link that leads nowhere is a file that cannot be read.
        let is_folder = if is_link {
            path.is_dir()
        } else {
            kind.is_dir()
        };
        let (mut hidden, mut other, mut taken) = (false, false, false);
        for at in active {
            let part = &parts[at];
            let descends = matches!(part, Part::Any);
            if descends != is_folder && descends || !descends && !part.matches(&name) {
                other |= matches!(part, Part::Data) && !is_folder && !is_hidden(&name);
                continue;
            }
            let next = if descends { at } else { at + 1 };
            if is_folder != (next < parts.len()) {
                continue;
            }
            if is_hidden(&name) && !part.takes_hidden() {
                hidden = true;
                continue;
            }
            taken = true;
            match (is_folder, is_link) {
                (true, false) => self.waiting.push_back((path.clone(), next)),
                (true, true) => self.linked.push_back((path.clone(), next)),
                (false, false) => self.file(path.clone())?,
                (false, true) => self.linked_files.push(path.clone()),
            }
        }
        match (taken, hidden, other) {
            (false, true, _) => self.skipped.hidden.add(path),
            (false, false, true) => self.skipped.other_names.add(path),
            _ => {}
        }
        Ok(())
    }
}

fn unreadable(path: &Path, source: io::Error) -> SourceError {
    match source.kind() {
        io::ErrorKind::NotFound => SourceError::NotFound(path.to_path_buf()),
        _ => SourceError::Unreadable {
            path: path.to_path_buf(),
            source,
        },
    }
}
