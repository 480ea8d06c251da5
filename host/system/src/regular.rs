//! Opening files that must be regular ones: a named pipe would block until somebody writes to it, and a device may do
//! something when it is opened. Follows links; reads nothing.

use std::fs::{self, File, FileType, Metadata};
use std::io;
use std::path::{Path, PathBuf};

/// A reason why something is not opened, for a sentence that names its path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The operating system does not allow it.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is a folder, a named pipe, a socket or a device.
    #[error("it is {0}, not a file")]
    NotAFile(&'static str),
    /// It is a link, and nothing is where it leads.
    #[error("it is a link to {}, which does not exist", .0.display())]
    DanglingLink(PathBuf),
}

impl From<OpenError> for io::Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Io(error) => error,
            OpenError::NotAFile(_) => io::Error::new(io::ErrorKind::InvalidInput, error),
            OpenError::DanglingLink(_) => io::Error::new(io::ErrorKind::NotFound, error),
        }
    }
}

/// Opens a regular file for reading, and nothing else. Never blocks: it looks before it opens, and once more at what it
/// opened, because another process may have replaced the file in between.
pub fn open_regular(path: &Path) -> Result<File, OpenError> {
    check_regular(&fs::metadata(path).map_err(|error| not_found(path, error))?)?;
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // Without it, opening a pipe waits for its other end.
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    }
    let file = options.open(path)?;
    check_regular(&file.metadata()?)?;
    Ok(file)
}

/// Returns what an error about a path means: whoever sees a link there must not be told that nothing is.
pub fn not_found(path: &Path, error: io::Error) -> OpenError {
    match fs::read_link(path) {
        Ok(target) if error.kind() == io::ErrorKind::NotFound => OpenError::DanglingLink(target),
        _ => error.into(),
    }
}

/// Returns an error that says what something is, unless it is a regular file.
pub fn check_regular(metadata: &Metadata) -> Result<(), OpenError> {
    match metadata.is_file() {
        true => Ok(()),
        false => Err(OpenError::NotAFile(in_words(metadata.file_type()))),
    }
}

fn in_words(file_type: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if file_type.is_fifo() {
            return "a named pipe";
        }
        if file_type.is_socket() {
            return "a socket";
        }
        if file_type.is_block_device() || file_type.is_char_device() {
            return "a device";
        }
    }
    match file_type.is_dir() {
        true => "a folder",
        false => "something else",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[cfg(unix)]
    #[test]
    fn regular_files_are_opened_and_nothing_else() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "text").unwrap();
        std::os::unix::fs::symlink("file", at("link")).unwrap();
        for name in ["file", "link"] {
            let mut text = String::new();
            let mut file = open_regular(&at(name)).unwrap();
            file.read_to_string(&mut text).unwrap();
            assert_eq!(text, "text", "{name}");
        }
        mknodat(CWD, at("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        std::os::unix::fs::symlink("pipe", at("to-pipe")).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        for (path, what) in [
            (at("pipe"), "it is a named pipe, not a file"),
            (at("to-pipe"), "it is a named pipe, not a file"),
            (at("socket"), "it is a socket, not a file"),
            (at(""), "it is a folder, not a file"),
            ("/dev/zero".into(), "it is a device, not a file"),
        ] {
            let error = open_regular(&path).unwrap_err();
            assert_eq!(error.to_string(), what);
            let error = io::Error::from(error);
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert_eq!(error.to_string(), what);
        }
        let none = io::Error::from(open_regular(&at("none")).unwrap_err());
        assert_eq!(none.kind(), io::ErrorKind::NotFound);
    }
}
