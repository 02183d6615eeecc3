//! Opening the file: who may use it, what is in it, and bringing it to this version's schema.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::{OpenError, SqliteOptions, Sync};
use crate::store::StoreError;

/// The schema's steps. Never change one that was released: add another.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_initial.sql"),
    include_str!("migrations/0002_listing.sql"),
    include_str!("migrations/0003_requester.sql"),
    include_str!("migrations/0004_callbacks.sql"),
];

/// Marks the file as ours ("A2As"), so that a path mistyped in the config never spoils another program's database.
const APPLICATION_ID: i64 = 0x4132_4173;

/// How long SQLite waits for a lock. Only somebody with a tool has one beside us; longer than this is worth an error.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Prepared statements kept per connection: more than the store has, so that none is ever parsed twice.
const STATEMENTS: usize = 128;

/// The size to which the write-ahead log is cut after a burst, in bytes.
const WAL_KEPT: i64 = 64 * 1024 * 1024;

/// The writer's page cache in KiB: the upper levels of every index at some hundred thousand tasks.
const CACHE_KIB: i64 = 16 * 1024;

/// A database that nobody else uses, with its writing connection.
pub(super) struct Opened {
    pub(super) conn: Connection,
    /// Held as long as the database is used.
    pub(super) lock: File,
}

pub(super) fn open(path: &Path, options: &SqliteOptions) -> Result<Opened, OpenError> {
    let io = |source| OpenError::Io {
        path: path.to_owned(),
        source,
    };
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        make_folder(folder).map_err(io)?;
    }
    let lock = lock(path)?;
    // SQLite gives its side files the mode of the database, so making that first makes all of them private.
    private(path).map_err(io)?;
    let conn = prepare(path, options).map_err(|error| match error {
        Prepare::Store(source) => OpenError::Store {
            path: path.to_owned(),
            source,
        },
        Prepare::Open(error) => error,
    })?;
    Ok(Opened { conn, lock })
}

fn make_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Opens a file for writing, made readable by its owner alone if it is new.
fn private(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Takes the lock file beside the database. It is never removed: a process that waited on a removed file would hold a
/// lock that nobody else sees.
fn lock(path: &Path) -> Result<File, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let beside = PathBuf::from(name);
    let io = |source| OpenError::Io {
        path: beside.clone(),
        source,
    };
    let file = private(&beside).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(io(source)),
    }
}

enum Prepare {
    Store(StoreError),
    Open(OpenError),
}

impl From<rusqlite::Error> for Prepare {
    fn from(error: rusqlite::Error) -> Prepare {
        Prepare::Store(error.into())
    }
}

fn prepare(path: &Path, options: &SqliteOptions) -> Result<Connection, Prepare> {
    let mut conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    // Whose the file is comes first: nothing is written to one that is not ours.
    migrate(path, &mut conn)?;
    let mode: String =
        conn.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode != "wal" {
        return Err(Prepare::Store(StoreError::Unavailable(format!(
            "the file system does not allow a write-ahead log (journal mode {mode})"
        ))));
    }
    let synchronous = match options.sync {
        Sync::Normal => "normal",
        Sync::Full => "full",
    };
    conn.pragma_update(None, "synchronous", synchronous)?;
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.pragma_update(None, "temp_store", "memory")?;
    conn.pragma_update(None, "trusted_schema", false)?;
    // Finds a damaged page when it is read, rather than answering from it.
    conn.pragma_update(None, "cell_size_check", true)?;
    conn.pragma_update(None, "cache_size", -CACHE_KIB)?;
    conn.pragma_update_and_check(None, "journal_size_limit", WAL_KEPT, |_| Ok(()))?;
    if let Some(bytes) = options.max_bytes {
        let page: u32 = conn.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let pages = i64::try_from(bytes / u64::from(page.max(1))).unwrap_or(i64::MAX);
        conn.pragma_update_and_check(None, "max_page_count", pages.max(1), |_| Ok(()))?;
    }
    Ok(conn)
}

fn migrate(path: &Path, conn: &mut Connection) -> Result<(), Prepare> {
    let found: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let owner: i64 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let fresh = owner == 0 && found == 0 && tables == 0;
    if owner != APPLICATION_ID && !fresh {
        return Err(Prepare::Open(OpenError::Foreign {
            path: path.to_owned(),
        }));
    }
    if found > known {
        return Err(Prepare::Open(OpenError::Newer {
            path: path.to_owned(),
            found,
            known,
        }));
    }
    // All steps or none: a kill in the middle leaves the old schema, and the next start goes through them again.
    let step = conn.transaction()?;
    for (before, sql) in (0_i64..).zip(MIGRATIONS) {
        if before >= found {
            step.execute_batch(sql)?;
        }
    }
    if found < known {
        step.pragma_update(None, "application_id", APPLICATION_ID)?;
        step.pragma_update(None, "user_version", known)?;
    }
    step.commit()?;
    Ok(())
}

/// One more connection, that can only read.
pub(super) fn reader(path: &Path) -> Result<Connection, StoreError> {
    let conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    conn.pragma_update(None, "query_only", true)?;
    conn.pragma_update(None, "trusted_schema", false)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    Ok(conn)
}
