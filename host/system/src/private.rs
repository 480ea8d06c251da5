//! Folders and files that belong to this user alone: made for their owner only, and refused where somebody else owns
//! them or can write to them. Follows no symbolic link inside such a folder and never deletes one with what is in it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::explain::plain;

/// A reason why a folder or file is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrivateError {
    /// The operating system does not allow it.
    #[error("{}", plain(.0))]
    Io(#[from] io::Error),
    /// It is a link.
    #[error("it is a symbolic link, and links are not followed here")]
    Link,
    /// A folder was expected.
    #[error("it is not a folder")]
    NotFolder,
    /// A file was expected.
    #[error("it is not a regular file")]
    NotFile,
    /// Somebody else owns it.
    #[error("it belongs to user {owner}, but this program runs as user {user}")]
    Foreign {
        /// The id of its owner.
        owner: u32,
        /// The id of the user that this program runs as.
        user: u32,
    },
    /// Others can write to it.
    #[error("other users can write to it (its mode is {mode:03o})")]
    Writable {
        /// Its permission bits.
        mode: u32,
    },
    /// There are more files in it than are looked at.
    #[error("it holds more than {0} entries")]
    TooMany(usize),
}

impl PrivateError {
    /// Returns what to do about it; `setting` names what says where the folder is, such as `state_dir`.
    pub fn remedy(&self, path: &Path, setting: &str) -> String {
        let path = path.display();
        match self {
            PrivateError::Writable { .. } => {
                format!("run `chmod go-w {path}`, or let {setting} name a folder of your own inside it")
            }
            PrivateError::Foreign { .. } => {
                format!("run the program as that user, or let {setting} name a folder of your own")
            }
            // Whatever it is, somebody may need it.
            PrivateError::NotFolder => format!("let {setting} name another folder"),
            PrivateError::Link | PrivateError::NotFile => {
                format!("remove it, or let {setting} name another folder")
            }
            PrivateError::TooMany(_) => format!("empty it, or let {setting} name another folder"),
            PrivateError::Io(error) if is_full(error) => {
                format!("free some space on the disk of {path}, or let {setting} name a folder on another one")
            }
            PrivateError::Io(_) => {
                format!("let {setting} name a folder that this program can write to, such as a mounted volume")
            }
        }
    }
}

/// Returns whether a disk, or what a user may have of it, is full.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Makes a folder for its owner only, its parents too, or checks the one that is there. The path itself may be a link:
/// whoever named the folder chose it.
pub fn folder(path: &Path) -> Result<(), PrivateError> {
    match builder().recursive(true).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
        _ => {}
    }
    let metadata = fs::metadata(path)?;
    if !metadata.is_dir() {
        return Err(PrivateError::NotFolder);
    }
    owners_only(&metadata)
}

/// Makes a folder inside a private one, or checks the one that is there.
pub fn subfolder(path: &Path) -> Result<(), PrivateError> {
    match builder().create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
        _ => {}
    }
    is_private_folder(path)?;
    Ok(narrow(path)?)
}

/// Returns whether a path inside a private folder is a folder, and the owner's alone to write.
pub fn is_private_folder(path: &Path) -> Result<(), PrivateError> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_symlink() {
        return Err(PrivateError::Link);
    }
    if !metadata.is_dir() {
        return Err(PrivateError::NotFolder);
    }
    owners_only(&metadata)
}

/// Checks a folder and all that is in it, at most `limit` entries, and then closes it to others: for what is trusted
/// without being read. Behind a folder that nobody else can enter, modes do not matter.
pub fn whole_tree(path: &Path, limit: usize) -> Result<(), (PathBuf, PrivateError)> {
    let at_root = |error: io::Error| (path.to_path_buf(), error.into());
    let is_closed = is_closed(&fs::metadata(path).map_err(at_root)?);
    let mut waiting = vec![path.to_path_buf()];
    let mut seen = 0;
    while let Some(folder) = waiting.pop() {
        let failed = |error: io::Error| (folder.clone(), error.into());
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            seen += 1;
            if seen > limit {
                return Err((path.to_path_buf(), PrivateError::TooMany(limit)));
            }
            let metadata = match fs::symlink_metadata(entry.path()) {
                // Another process tidied it away.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other.map_err(failed)?,
            };
            let checked = match metadata.is_symlink() {
                true => Err(PrivateError::Link),
                false if is_closed => owned(&metadata),
                false => owners_only(&metadata),
            };
            checked.map_err(|error| (entry.path(), error))?;
            if metadata.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    narrow(path).map_err(at_root)
}

/// Opens a file of a private folder for reading: a regular file, neither a link nor something that blocks.
pub fn open(path: &Path) -> Result<File, PrivateError> {
    checked_file(options().read(true).open(path))
}

/// Opens a file of a private folder for a lock, and makes it if need be.
pub fn open_lock(path: &Path) -> Result<File, PrivateError> {
    checked_file(options().write(true).create(true).truncate(false).open(path))
}

/// Creates a file for its owner only; one of that name must not exist.
pub fn create_new(path: &Path) -> io::Result<File> {
    options().append(true).create_new(true).open(path)
}

/// Replaces a file as a whole: after a crash, or on a full disk, it is the old one or the new one, never a piece.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    // Removed again when anything goes wrong; made for its owner only.
    let mut temporary = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
    temporary.write_all(bytes)?;
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|error| error.error)?;
    sync_folder(folder)
}

/// Makes the names in a folder durable.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Returns whether a path names this open file, rather than another or none.
pub fn is_file_at(file: &File, path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(there) => Ok(is_same(&file.metadata()?, &there)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn checked_file(opened: io::Result<File>) -> Result<File, PrivateError> {
    let file = opened.map_err(|error| match is_link(&error) {
        true => PrivateError::Link,
        false => error.into(),
    })?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(PrivateError::NotFile);
    }
    owners_only(&metadata)?;
    Ok(file)
}

#[cfg(unix)]
mod system {
    //! What Unix says of owners and modes.

    use super::*;
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};

    use rustix::fs::OFlags;

    const FOLDER_MODE: u32 = 0o700;
    const FILE_MODE: u32 = 0o600;
    const WRITABLE_BY_OTHERS: u32 = 0o022;

    pub(super) fn builder() -> DirBuilder {
        let mut builder = DirBuilder::new();
        builder.mode(FOLDER_MODE);
        builder
    }

    /// Neither follows a link nor waits for whoever holds the other end of a pipe.
    pub(super) fn options() -> OpenOptions {
        let mut options = OpenOptions::new();
        options
            .mode(FILE_MODE)
            .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
        options
    }

    pub(super) fn is_link(error: &io::Error) -> bool {
        error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
    }

    pub(super) fn owned(metadata: &fs::Metadata) -> Result<(), PrivateError> {
        let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
        match owner == user {
            true => Ok(()),
            false => Err(PrivateError::Foreign { owner, user }),
        }
    }

    /// Returns whether nobody but the owner can get at what is in a folder.
    pub(super) fn is_closed(metadata: &fs::Metadata) -> bool {
        metadata.mode() & 0o777 == FOLDER_MODE
    }

    pub(super) fn owners_only(metadata: &fs::Metadata) -> Result<(), PrivateError> {
        owned(metadata)?;
        let mode = metadata.mode() & 0o777;
        match mode & WRITABLE_BY_OTHERS {
            0 => Ok(()),
            _ => Err(PrivateError::Writable { mode }),
        }
    }

    pub(super) fn is_same(one: &fs::Metadata, other: &fs::Metadata) -> bool {
        (one.dev(), one.ino()) == (other.dev(), other.ino())
    }

    /// Takes reading away from others, who may have been given it by an earlier version.
    pub(super) fn narrow(folder: &Path) -> io::Result<()> {
        if is_closed(&fs::metadata(folder)?) {
            return Ok(());
        }
        fs::set_permissions(folder, fs::Permissions::from_mode(FOLDER_MODE))
    }
}

#[cfg(not(unix))]
mod system {
    //! Elsewhere a user's own folders are private by their place.

    use super::*;

    pub fn builder() -> DirBuilder {
        DirBuilder::new()
    }

    pub fn options() -> OpenOptions {
        OpenOptions::new()
    }

    pub fn is_link(_: &io::Error) -> bool {
        false
    }

    pub fn owned(_: &fs::Metadata) -> Result<(), PrivateError> {
        Ok(())
    }

    pub fn is_closed(_: &fs::Metadata) -> bool {
        true
    }

    pub fn owners_only(_: &fs::Metadata) -> Result<(), PrivateError> {
        Ok(())
    }

    /// A folder with an open file cannot be renamed there.
    pub fn is_same(_: &fs::Metadata, _: &fs::Metadata) -> bool {
        true
    }

    pub fn narrow(_: &Path) -> io::Result<()> {
        Ok(())
    }
}

use system::{builder, is_closed, is_link, is_same, narrow, options, owned, owners_only};

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).expect("it is there").mode() & 0o777
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("its mode");
    }

    #[test]
    fn what_is_made_is_the_owners_alone() {
        let outer = tempfile::tempdir().expect("a folder");
        let state = outer.path().join("a/state");
        folder(&state).expect("made");
        subfolder(&state.join("runs")).expect("made");
        write(&state.join("runs/x"), b"1").expect("written");
        write(&state.join("runs/x"), b"2").expect("replaced");
        create_new(&state.join("runs/y")).expect("made");
        open_lock(&state.join("runs/z")).expect("made");
        for path in ["a", "a/state", "a/state/runs"] {
            assert_eq!(mode(&outer.path().join(path)), 0o700, "{path}");
        }
        for path in ["x", "y", "z"] {
            assert_eq!(mode(&state.join("runs").join(path)), 0o600, "{path}");
        }
        assert_eq!(fs::read(state.join("runs/x")).expect("read"), b"2");
        assert_eq!(fs::read_dir(state.join("runs")).expect("a list").count(), 3);
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_refused_and_one_they_can_read_is_narrowed() {
        let outer = tempfile::tempdir().expect("a folder");
        let state = outer.path().join("state");
        folder(&state).expect("made");
        for bad in [0o777, 0o770, 0o702, 0o720] {
            set_mode(&state, bad);
            let error = folder(&state).expect_err("refused");
            assert!(matches!(error, PrivateError::Writable { mode } if mode == bad));
            assert!(error.remedy(&state, "`state_dir`").starts_with("run `chmod go-w "));
        }
        set_mode(&state, 0o755);
        folder(&state).expect("others may read it");
        let runs = state.join("runs");
        subfolder(&runs).expect("made");
        set_mode(&runs, 0o755);
        subfolder(&runs).expect("narrowed");
        assert_eq!(mode(&runs), 0o700);
        set_mode(&runs, 0o777);
        assert!(matches!(subfolder(&runs), Err(PrivateError::Writable { .. })));
    }

    #[test]
    fn a_full_disk_is_not_the_settings_fault() {
        let remedy = |kind: io::ErrorKind| {
            let error = PrivateError::Io(kind.into());
            error.remedy(Path::new("state"), "`state_dir`")
        };
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            assert!(remedy(kind).starts_with("free some space on the disk of state"));
        }
        assert!(remedy(io::ErrorKind::PermissionDenied).starts_with("let `state_dir` name"));
    }

    #[test]
    fn the_system_folder_of_somebody_else_is_refused() {
        // Nobody can give a file away but root, so a folder that root owns has to do, or for root one of its own.
        let outer = tempfile::tempdir().expect("a folder");
        let user = rustix::process::geteuid();
        let (path, owner) = if user.is_root() {
            std::os::unix::fs::chown(outer.path(), Some(12_345), None).expect("root may");
            (outer.path(), 12_345)
        } else {
            (Path::new("/"), 0)
        };
        let error = folder(path).expect_err("refused");
        assert!(matches!(error, PrivateError::Foreign { owner: found, .. } if found == owner));
    }

    #[test]
    fn links_pipes_and_folders_are_no_files_and_block_nobody() {
        let outer = tempfile::tempdir().expect("a folder");
        let at = |name: &str| outer.path().join(name);
        fs::write(at("real"), b"x").expect("a file");
        symlink(at("real"), at("link")).expect("a link");
        symlink(outer.path(), at("folder-link")).expect("a link");
        fs::create_dir(at("folder")).expect("a folder");
        let made = std::process::Command::new("mkfifo").arg(at("pipe")).status();
        assert!(made.expect("mkfifo runs").success());
        fs::write(at("open"), b"x").expect("a file");
        set_mode(&at("open"), 0o666);
        set_mode(&at("real"), 0o644);
        open(&at("real")).expect("a regular file");
        assert!(matches!(open(&at("link")), Err(PrivateError::Link)));
        assert!(matches!(open_lock(&at("link")), Err(PrivateError::Link)));
        assert!(matches!(open(&at("folder")), Err(PrivateError::NotFile)));
        assert!(matches!(open(&at("pipe")), Err(PrivateError::NotFile)));
        assert!(matches!(open(&at("open")), Err(PrivateError::Writable { mode: 0o666 })));
        assert!(matches!(subfolder(&at("folder-link")), Err(PrivateError::Link)));
        assert!(matches!(subfolder(&at("real")), Err(PrivateError::NotFolder)));
    }

    #[test]
    fn one_bad_entry_anywhere_spoils_a_tree() {
        let outer = tempfile::tempdir().expect("a folder");
        let deep = outer.path().join("modules/v1");
        fs::create_dir_all(&deep).expect("folders");
        let code = deep.join("code");
        fs::write(&code, b"x").expect("a file");
        set_mode(&code, 0o644);
        let open = || set_mode(outer.path(), 0o755);
        open();
        whole_tree(outer.path(), 3).expect("good");
        assert_eq!(mode(outer.path()), 0o700, "closed from now on");
        set_mode(&code, 0o666);
        whole_tree(outer.path(), 3).expect("nobody can get at it");
        open();
        assert!(matches!(
            whole_tree(outer.path(), 2),
            Err((_, PrivateError::TooMany(2)))
        ));
        set_mode(&code, 0o646);
        let (path, error) = whole_tree(outer.path(), 9).expect_err("a file");
        assert_eq!(path, code);
        assert!(matches!(error, PrivateError::Writable { .. }));
        set_mode(&code, 0o644);
        set_mode(&deep, 0o777);
        assert_eq!(whole_tree(outer.path(), 9).expect_err("a folder").0, deep);
        set_mode(&deep, 0o755);
        symlink(&code, deep.join("link")).expect("a link");
        assert!(matches!(whole_tree(outer.path(), 9), Err((_, PrivateError::Link))));
    }
}
