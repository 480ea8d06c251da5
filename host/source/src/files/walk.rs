//! Walks through folders by the parts of a glob. Each file and folder is met once, by what it is and what its folders'
//! names hold: links and further names of a file add no rows, and circles end. Opens no file.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::{self, FileType, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use batch_export_system::{OpenError, Token, check_regular};
use glob::Pattern;

use super::super::SourceError;
use super::discover::{Found, FoundFile, Skipped, is_data};
use super::keys::{self, Key};

/// Every file is opened before the first row, so that a wrong one fails the run early: a hundred thousand headers
/// are minutes.
const MAX_FILES: usize = 100_000;
/// Folders that are listed: eleven years of hours. More are a glob that begins too high.
const MAX_FOLDERS: usize = 100_000;

/// One component of a path that is searched for.
#[derive(Debug)]
pub(crate) enum Part {
    /// Any number of folders.
    Any,
    /// A file whose name says that it holds rows.
    Data,
    Literal(String),
    Name(Pattern),
}

/// Returns the head of a glob without wildcards, and the parts behind it.
pub(crate) fn parse(path: &str) -> Result<(PathBuf, Vec<Part>), String> {
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

    /// Returns whether it names what is hidden.
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

/// The identity of a file or folder, whatever it is called.
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

/// The fate of a name. Where several parts of a `path` meet it, the last of these counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Met {
    Hidden,
    OtherName,
    Repeated,
    Taken,
}

/// A folder to be listed for the parts from `at` on.
type Waiting = (PathBuf, usize);

/// A folder for the parts from a number on, under the keys of its name.
type Listed = (Identity, Vec<Key>, usize);

/// The files that one `path` was found to mean so far.
pub(crate) struct Walk {
    base: PathBuf,
    /// Whether `path` names every folder itself, those above `base` too.
    is_absolute: bool,
    folders: HashMap<Listed, PathBuf>,
    /// Each file, as often as it is in folders that hold other values.
    files: HashMap<Identity, Vec<FoundFile>>,
    /// Files of all kinds of folders together.
    taken: usize,
    /// The targets of links, looked at last: a file keeps the name that it has itself.
    linked_files: Vec<PathBuf>,
    linked: VecDeque<Waiting>,
    waiting: VecDeque<Waiting>,
    listed: usize,
    /// Each name that was met and is not of a folder that was entered.
    met: BTreeMap<PathBuf, Met>,
    token: Token,
}

impl Walk {
    pub(super) fn new(base: &Path, is_absolute: bool, token: &Token) -> Self {
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
            met: BTreeMap::new(),
            token: token.clone(),
        }
    }

    /// Takes everything below a folder that the parts match.
    pub(crate) fn below(&mut self, root: &Path, parts: &[Part]) -> Result<(), SourceError> {
        // Parts of another glob have other numbers.
        self.folders.clear();
        self.waiting.push_back((root.to_path_buf(), 0));
        while let Some((folder, at)) = self.waiting.pop_front().or_else(|| self.linked.pop_front()) {
            if self.enter(&folder, at)? {
                self.list(&folder, parts, at)?;
            }
        }
        Ok(())
    }

    /// Takes one file.
    pub(super) fn file(&mut self, path: PathBuf) -> Result<(), SourceError> {
        let metadata = fs::metadata(&path).map_err(|error| unreadable(&path, error))?;
        check_regular(&metadata).map_err(|error| cannot_open(&path, error))?;
        let identity = identity(&path, &metadata).map_err(|error| unreadable(&path, error))?;
        let keys = keys::of(self.named(&path))?;
        let known = self.files.entry(identity).or_default();
        if known.iter().any(|file| file.path == path) {
            return Ok(());
        }
        let known = std::mem::take(known);
        let known = self.joined(known, FoundFile { path, keys })?;
        self.files.insert(identity, known);
        self.limited("files", self.taken, MAX_FILES)
    }

    /// Returns the names under which a file is read, with one more. Of two for the same values, and of two whose
    /// folders hold different columns, it keeps the one with fewer links on its way: its rows must not be in the table
    /// twice.
    fn joined(&mut self, mut known: Vec<FoundFile>, new: FoundFile) -> Result<Vec<FoundFile>, SourceError> {
        let sorted = keys::sorted(&new.keys);
        let is_same = |file: &FoundFile| keys::sorted(&file.keys) == sorted;
        let is_other = |file: &FoundFile| !keys::have_same_names(&keys::sorted(&file.keys), &sorted);
        let clashing: Vec<usize> = (0..known.len())
            .filter(|at| is_same(&known[*at]) || is_other(&known[*at]))
            .collect();
        let links = self.links(&new.path);
        let fewest = clashing.iter().map(|at| self.links(&known[*at].path)).min();
        if let (Some(fewest), Some(first)) = (fewest, clashing.first())
            && links >= fewest
        {
            if links == fewest && is_other(&known[*first]) {
                return Err(SourceError::OneFile {
                    path: new.path,
                    other: known[*first].path.clone(),
                });
            }
            self.note(new.path, Met::Repeated);
            return Ok(known);
        }
        for at in clashing.into_iter().rev() {
            let replaced = known.remove(at);
            self.met.insert(replaced.path, Met::Repeated);
            self.taken -= 1;
        }
        self.note(new.path.clone(), Met::Taken);
        self.taken += 1;
        known.push(new);
        Ok(known)
    }

    fn note(&mut self, path: PathBuf, met: Met) {
        let noted = self.met.entry(path).or_insert(met);
        *noted = met.max(*noted);
    }

    /// Returns how many links are on the way to a file, of what the source's `path` names.
    fn links(&self, path: &Path) -> usize {
        let named = self.named(path).components().count();
        let is_link = |path: &Path| fs::symlink_metadata(path).is_ok_and(|it| it.is_symlink());
        path.ancestors().take(named).filter(|path| is_link(path)).count()
    }

    /// Returns the part of a path whose folders' names are columns: what the source's `path` names and what is below
    /// it, however the configuration's folder is spelled.
    fn named<'a>(&self, path: &'a Path) -> &'a Path {
        match self.is_absolute {
            true => path,
            false => path.strip_prefix(&self.base).unwrap_or(path),
        }
    }

    /// Returns how many files, and links to files, were met so far and are read.
    pub(super) fn met_files(&self) -> usize {
        self.taken + self.linked_files.len()
    }

    /// Returns all that was found.
    pub(super) fn found(mut self) -> Result<Found, SourceError> {
        for path in std::mem::take(&mut self.linked_files) {
            self.file(path)?;
        }
        let mut skipped = Skipped::default();
        let seen = self.met.len() as u64;
        for (path, met) in self.met {
            match met {
                Met::Hidden => skipped.hidden.add(path),
                Met::OtherName => skipped.other_names.add(path),
                Met::Repeated => skipped.repeated.add(path),
                Met::Taken => {}
            }
        }
        Ok(Found {
            files: self.files.into_values().flatten().collect(),
            skipped,
            seen,
            without_files: None,
            other: None,
        })
    }

    /// Returns whether a folder is met for the first time.
    fn enter(&mut self, folder: &Path, at: usize) -> Result<bool, SourceError> {
        let metadata = fs::metadata(folder).map_err(|error| unreadable(folder, error))?;
        let identity = identity(folder, &metadata).map_err(|error| unreadable(folder, error))?;
        let mut listed: Listed = (identity, Vec::new(), at);
        if self.is_circle(folder, &mut listed)? {
            self.note(folder.to_path_buf(), Met::Repeated);
            return Ok(false);
        }
        listed.1 = keys::sorted(&keys::in_folders(self.named(folder))?);
        if let Some(known) = self.folders.get(&listed) {
            if known != folder {
                self.note(folder.to_path_buf(), Met::Repeated);
            }
            return Ok(false);
        }
        self.folders.insert(listed, folder.to_path_buf());
        self.listed += 1;
        self.limited("folders", self.listed, MAX_FOLDERS)?;
        Ok(true)
    }

    /// Returns whether a folder is one that it is in itself. Its name may add keys, so those would not end the circle.
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
        self.token.check()?;
        let mut entries = fs::read_dir(folder)
            .and_then(|entries| entries.collect::<io::Result<Vec<_>>>())
            .map_err(|error| unreadable(folder, error))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        // `**` is also no folder at all.
        let last = at + usize::from(matches!(parts[at], Part::Any));
        for entry in entries {
            let path = entry.path();
            let kind = entry.file_type().map_err(|error| unreadable(&path, error))?;
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
        let is_folder = if is_link { path.is_dir() } else { kind.is_dir() };
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
            (false, true, _) => self.note(path, Met::Hidden),
            (false, false, true) => self.note(path, Met::OtherName),
            _ => {}
        }
        Ok(())
    }
}

/// Returns the error for what is not a regular file, or cannot be opened.
pub(super) fn cannot_open(path: &Path, error: OpenError) -> SourceError {
    match error {
        OpenError::NotAFile(what) => SourceError::NotAFile {
            path: path.to_path_buf(),
            what,
        },
        OpenError::DanglingLink(target) => SourceError::DanglingLink {
            path: path.to_path_buf(),
            target,
        },
        error => unreadable(path, error.into()),
    }
}

fn unreadable(path: &Path, source: io::Error) -> SourceError {
    match (source.kind(), fs::read_link(path)) {
        (io::ErrorKind::NotFound, Ok(target)) => SourceError::DanglingLink {
            path: path.to_path_buf(),
            target,
        },
        (io::ErrorKind::NotFound, _) => SourceError::NotFound(path.to_path_buf()),
        _ => SourceError::Unreadable {
            path: path.to_path_buf(),
            source,
        },
    }
}
