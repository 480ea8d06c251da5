//! Opening the database: whether this user and this machine may, whether it is ours, and which version it has; and the
//! lock that only one service holds.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::error::LedgerError;
use super::{LEDGER_FILE, Result};
use batch_export_system::private;

/// The version that this program writes, and what makes each version from the one before.
const MIGRATIONS: [&str; 1] = [include_str!("schema.sql")];
/// What marks a database as a ledger: `BExp`.
const APPLICATION_ID: i64 = 0x4245_7870;
/// How long a call waits while another process writes: far longer than any write takes.
const BUSY_TIME: Duration = Duration::from_secs(10);
/// Statements that are kept prepared: more than the program has.
const STATEMENTS: usize = 128;
const SERVICE_LOCK: &str = "service.lock";
/// Times that a service looks whether another one is really there, and the time in between.
const LOOKS: u32 = 5;
const LOOK_TIME: Duration = Duration::from_millis(40);

pub(super) fn open(folder: &Path) -> Result<Connection> {
    let unusable = |source| LedgerError::Folder {
        folder: folder.to_path_buf(),
        source,
    };
    private::folder(folder).map_err(unusable)?;
    if let Some(system) = network_file_system(folder) {
        return Err(LedgerError::Network {
            folder: folder.to_path_buf(),
            system,
        });
    }
    let file = folder.join(LEDGER_FILE);
    // Made by this program, so that it is the owner's alone; SQLite gives the files beside it the same mode.
    let unusable = |source| LedgerError::Folder {
        folder: file.clone(),
        source,
    };
    drop(private::open_lock(&file).map_err(unusable)?);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    // SQLite follows no link at all with that flag, so the folder's own has to be resolved first.
    let resolved = folder.canonicalize().map_err(|error| LedgerError::io(folder, error))?;
    let mut connection = Connection::open_with_flags(resolved.join(LEDGER_FILE), flags)?;
    connection.busy_timeout(BUSY_TIME)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    prepare(&mut connection).map_err(|error| damaged(&file, error))?;
    migrate(&mut connection, &file).map_err(|error| damaged(&file, error))?;
    Ok(connection)
}

fn prepare(connection: &mut Connection) -> Result<()> {
    write_ahead(connection)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(())
}

/// Has writers not wait for readers. That lasts, so it is done once; while it is done, SQLite refuses others at once
/// instead of having them wait.
fn write_ahead(connection: &Connection) -> Result<()> {
    let until = Instant::now() + BUSY_TIME;
    loop {
        let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
        if mode == "wal" {
            return Ok(());
        }
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < until => {
                std::thread::sleep(LOOK_TIME);
            }
            other => other?,
        }
    }
}

/// Brings the database to the newest version, all of it or nothing.
fn migrate(connection: &mut Connection, file: &Path) -> Result<()> {
    let supported = MIGRATIONS.len() as i64;
    // Within a transaction, so that another process that makes the tables is seen before or after it.
    let transaction = connection.transaction()?;
    let found = version(&transaction, file)?;
    drop(transaction);
    if found > supported {
        return Err(LedgerError::Newer {
            file: file.to_path_buf(),
            found,
            supported,
        });
    }
    if found == supported {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    // Another process may have been faster.
    let found = version(&transaction, file)?;
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", supported)?;
    transaction.commit()?;
    Ok(())
}

/// Returns the version of the database; 0 is one that nothing was ever written to.
fn version(connection: &Connection, file: &Path) -> Result<i64> {
    let pragma = |name| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    let (version, application) = (pragma("user_version")?, pragma("application_id")?);
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (version, application, tables) {
        (0, 0, 0) => Ok(0),
        (1.., APPLICATION_ID, _) => Ok(version),
        _ => Err(LedgerError::Foreign {
            file: file.to_path_buf(),
        }),
    }
}

/// Turns what SQLite says of a file that is no database, or a broken one, into an error that says how to go on.
fn damaged(file: &Path, error: LedgerError) -> LedgerError {
    let LedgerError::Sqlite(cause) = &error else {
        return error;
    };
    match cause.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => LedgerError::Damaged {
            file: file.to_path_buf(),
            found: cause.to_string(),
        },
        _ => error,
    }
}

/// Reads the whole database once.
pub(super) fn examine(connection: &Connection) -> Result<()> {
    let file = Path::new(connection.path().unwrap_or(LEDGER_FILE));
    let found = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    let found = found.map_err(|error| damaged(file, error.into()))?;
    match found.as_str() {
        "ok" => Ok(()),
        _ => Err(LedgerError::Damaged {
            file: file.to_path_buf(),
            found,
        }),
    }
}

/// The right to be the only service of a ledger. It ends with this value, or with the process.
#[derive(Debug)]
pub struct ServiceLock {
    _file: File,
}

impl ServiceLock {
    pub(super) fn take(folder: &Path) -> Result<Self> {
        let path = folder.join(SERVICE_LOCK);
        let mut file = open_lock(folder)?;
        let mut looks = 0;
        while let Err(error) = file.try_lock() {
            match error {
                // A command that only looks whether there is a service holds it for a moment.
                TryLockError::WouldBlock if looks < LOOKS => std::thread::sleep(LOOK_TIME),
                TryLockError::WouldBlock => {
                    return Err(LedgerError::ServiceRunning {
                        folder: folder.to_path_buf(),
                        pid: pid_in(&mut file),
                    });
                }
                TryLockError::Error(error) => return Err(LedgerError::io(path, error)),
            }
            looks += 1;
        }
        let noted = file
            .set_len(0)
            .and_then(|()| file.write_all(format!("{}\n", std::process::id()).as_bytes()));
        noted.map_err(|error| LedgerError::io(path, error))?;
        Ok(ServiceLock { _file: file })
    }

    /// Returns the process that holds the lock.
    pub(super) fn holder(folder: &Path) -> Result<Option<u32>> {
        if !folder.join(SERVICE_LOCK).exists() {
            return Ok(None);
        }
        let mut file = open_lock(folder)?;
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(Some(pid_in(&mut file))),
            Err(TryLockError::Error(error)) => Err(LedgerError::io(folder.join(SERVICE_LOCK), error)),
        }
    }
}

fn open_lock(folder: &Path) -> Result<File> {
    let path = folder.join(SERVICE_LOCK);
    // For reading as well: it names the process.
    drop(private::open_lock(&path).map_err(|source| LedgerError::Folder {
        folder: folder.to_path_buf(),
        source,
    })?);
    let file = File::options().read(true).write(true).open(&path);
    file.map_err(|error| LedgerError::io(path, error))
}

fn pid_in(file: &mut File) -> u32 {
    let mut text = String::new();
    let read = file
        .seek(SeekFrom::Start(0))
        .and_then(|_| file.take(16).read_to_string(&mut text));
    match read {
        Ok(_) => text.trim().parse().unwrap_or(0),
        Err(_) => 0,
    }
}

/// Returns the kind of a file system that several machines can share. SQLite's locks and its shared memory do not work
/// between them (<https://sqlite.org/wal.html>, "all processes using a database must be on the same host").
#[cfg(target_os = "linux")]
fn network_file_system(folder: &Path) -> Option<&'static str> {
    // `statfs(2)` lists the numbers.
    const KINDS: [(u32, &str); 9] = [
        (0x6969, "NFS"),
        (0x517b, "SMB"),
        (0xff53_4d42, "CIFS"),
        (0xfe53_4d42, "SMB2"),
        (0x0102_1997, "9p"),
        (0x5346_414f, "AFS"),
        (0x7375_7245, "Coda"),
        (0x00c3_6400, "Ceph"),
        (0x0bd0_0bd0, "Lustre"),
    ];
    let kind = rustix::fs::statfs(folder).ok()?.f_type as u32;
    KINDS.iter().find(|(known, _)| *known == kind).map(|(_, name)| *name)
}

#[cfg(not(target_os = "linux"))]
fn network_file_system(_: &Path) -> Option<&'static str> {
    None
}
