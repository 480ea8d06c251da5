//! Why the ledger cannot be used, and what to do about it.

use std::io;
use std::path::PathBuf;

use batch_export_runner::{Failure, FailureClass, FailureCode};
use batch_export_system::explain::Explain;
use batch_export_system::private::PrivateError;

/// A reason why a call of the ledger failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The state folder cannot be used.
    #[error("cannot keep the ledger in {}: {source}", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The reason.
        source: PrivateError,
    },
    /// The state folder is on a file system of another machine.
    #[error(
        "cannot keep the ledger in {}: it is on a network file system ({system}), on which two machines would damage \
         it", .folder.display()
    )]
    Network {
        /// The folder.
        folder: PathBuf,
        /// The kind of file system.
        system: &'static str,
    },
    /// The file was written by a newer version of this program.
    #[error("the ledger {} has version {found}, but this program supports up to {supported}", .file.display())]
    Newer {
        /// The database.
        file: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version that this program knows.
        supported: i64,
    },
    /// The file is something else.
    #[error("{} is not a ledger of this program", .file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
    },
    /// The file is damaged.
    #[error("the ledger {} is damaged: {found}", .file.display())]
    Damaged {
        /// The database.
        file: PathBuf,
        /// What SQLite found first.
        found: String,
    },
    /// Another service works with this ledger.
    #[error("another service{} is already running with {}", of_process(*.pid), .folder.display())]
    ServiceRunning {
        /// The state folder.
        folder: PathBuf,
        /// Its process id, 0 where it is not known.
        pid: u32,
    },
    /// A backup's file exists already.
    #[error("{} already exists", .file.display())]
    BackupExists {
        /// The file.
        file: PathBuf,
    },
    /// A backup cannot be written.
    #[error("cannot write the backup {}: {reason}", .file.display())]
    Backup {
        /// The file.
        file: PathBuf,
        /// The reason.
        reason: String,
    },
    /// SQLite cannot do it for another reason: the disk is full, or somebody writes for too long.
    #[error("the ledger cannot be read or written: {}", in_words(.0))]
    Sqlite(#[source] rusqlite::Error),
    /// A value in the database is not one that this program wrote.
    #[error("the ledger holds something that this program did not write: {0}")]
    Strange(String),
}

fn of_process(pid: u32) -> String {
    match pid {
        0 => String::new(),
        pid => format!(" (process {pid})"),
    }
}

/// What SQLite says, without its code and in the middle of a sentence.
pub(super) fn in_words(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => "the disk is full".to_owned(),
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
            "another process has been writing to it for more than ten seconds".to_owned()
        }
        Some(rusqlite::ErrorCode::ReadOnly) => "it is read-only".to_owned(),
        Some(rusqlite::ErrorCode::SystemIoFailure) => "the disk reports an error, or is full".to_owned(),
        _ => error.to_string(),
    }
}

/// The hint for a file that cannot be trusted any more.
pub(super) const RESTORE: &str = "stop the service, move the file and those beside it that begin with its name away, \
                                  and copy your last `batch-export ledger backup` to its place; without a backup a \
                                  new ledger is created, which knows no earlier runs, and intervals from before can be \
                                  exported by `batch-export backfill`";

impl LedgerError {
    /// The ledger cannot be used.
    pub const UNUSABLE: FailureCode = FailureCode::new("ledger_unusable");
    /// The ledger was written by a newer version.
    pub const NEWER: FailureCode = FailureCode::new("ledger_newer");
    /// The ledger is damaged.
    pub const DAMAGED: FailureCode = FailureCode::new("ledger_damaged");
    /// The ledger cannot be read or written for now.
    pub const UNAVAILABLE: FailureCode = FailureCode::new("ledger_unavailable");
    /// Another service is running.
    pub const SERVICE_RUNNING: FailureCode = FailureCode::new("service_running");
    /// A file that would be written exists.
    pub const FILE_EXISTS: FailureCode = FailureCode::new("file_exists");
    /// A backup cannot be written.
    pub const BACKUP_FAILED: FailureCode = FailureCode::new("backup_failed");
    /// Every code of the ledger.
    pub const CODES: [FailureCode; 7] = [
        LedgerError::UNUSABLE,
        LedgerError::NEWER,
        LedgerError::DAMAGED,
        LedgerError::UNAVAILABLE,
        LedgerError::SERVICE_RUNNING,
        LedgerError::FILE_EXISTS,
        LedgerError::BACKUP_FAILED,
    ];

    /// Returns whether the same call may work later.
    pub fn is_transient(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked, DiskFull, SystemIoFailure};
        let LedgerError::Sqlite(error) = self else {
            return false;
        };
        let code = error.sqlite_error_code();
        matches!(code, Some(DatabaseBusy | DatabaseLocked | DiskFull | SystemIoFailure))
    }

    /// Returns whether the file is not what it was when it was opened.
    fn is_damage(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        let LedgerError::Sqlite(error) = self else {
            return false;
        };
        matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
    }

    /// Makes the error of an operation on files.
    pub(super) fn io(folder: impl Into<PathBuf>, error: io::Error) -> Self {
        LedgerError::Folder {
            folder: folder.into(),
            source: error.into(),
        }
    }
}

impl From<rusqlite::Error> for LedgerError {
    fn from(error: rusqlite::Error) -> Self {
        LedgerError::Sqlite(error)
    }
}

impl Explain for LedgerError {
    fn hint(&self) -> Option<String> {
        match self {
            LedgerError::Folder { folder, source } => Some(source.remedy(folder, "`state_dir`")),
            LedgerError::Network { .. } => Some("let `state_dir` name a folder on a local disk".to_owned()),
            LedgerError::Newer { .. } => {
                Some("use the newer version of batch-export, or restore a backup from before the upgrade".to_owned())
            }
            LedgerError::Foreign { .. } => {
                Some("move the file away, or let `state_dir` name another folder".to_owned())
            }
            LedgerError::Damaged { .. } => Some(RESTORE.to_owned()),
            LedgerError::ServiceRunning { .. } => Some(
                "use that one, stop it first, or let `state_dir` name another folder for destinations of your own"
                    .to_owned(),
            ),
            LedgerError::BackupExists { .. } => Some("name a file that does not exist yet".to_owned()),
            LedgerError::Backup { .. } => {
                Some("name a file in a folder that exists, that you can write to, and that has room".to_owned())
            }
            LedgerError::Sqlite(error) => match error.sqlite_error_code() {
                Some(rusqlite::ErrorCode::DiskFull | rusqlite::ErrorCode::SystemIoFailure) => {
                    Some("free some space on the disk of `state_dir`".to_owned())
                }
                Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                    Some(RESTORE.to_owned())
                }
                _ => None,
            },
            LedgerError::Strange(_) => Some(RESTORE.to_owned()),
        }
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        let (class, code) = match &error {
            LedgerError::Folder { .. } | LedgerError::Network { .. } => (FailureClass::Failed, LedgerError::UNUSABLE),
            LedgerError::Newer { .. } => (FailureClass::Failed, LedgerError::NEWER),
            LedgerError::Foreign { .. } => (FailureClass::Failed, LedgerError::UNUSABLE),
            LedgerError::Damaged { .. } | LedgerError::Strange(_) => (FailureClass::Failed, LedgerError::DAMAGED),
            LedgerError::ServiceRunning { .. } => (FailureClass::Failed, LedgerError::SERVICE_RUNNING),
            LedgerError::BackupExists { .. } => (FailureClass::Configuration, LedgerError::FILE_EXISTS),
            LedgerError::Backup { .. } => (FailureClass::Failed, LedgerError::BACKUP_FAILED),
            LedgerError::Sqlite(_) if error.is_transient() => (FailureClass::Retryable, LedgerError::UNAVAILABLE),
            LedgerError::Sqlite(_) if error.is_damage() => (FailureClass::Failed, LedgerError::DAMAGED),
            LedgerError::Sqlite(_) => (FailureClass::Failed, LedgerError::UNUSABLE),
        };
        Failure::of(class, code, error)
    }
}
