//! What SQLite's errors mean to the store, and why a file cannot be opened.

use std::path::PathBuf;

use rusqlite::ErrorCode;

use crate::store::StoreError;

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process (or another store of this one) has the file.
    #[error(
        "{} is in use by another sidecar: only one may use a database (several need a shared store)",
        path.display()
    )]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// A newer version of the sidecar has written the file.
    #[error(
        "{} has schema {found}, and this version of the sidecar knows {known} at most: run a newer version, or restore \
         the copy that was made before the upgrade",
        path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema that this binary knows.
        known: i64,
    },
    /// The file is a SQLite database of some other program.
    #[error("{} is a database of another program", path.display())]
    Foreign {
        /// The database.
        path: PathBuf,
    },
    /// The folder or one of the files cannot be made or used.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Anything else.
    #[error("{}: {source}", path.display())]
    Store {
        /// The database.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
}

impl From<rusqlite::Error> for StoreError {
    /// SQLite's messages name tables and columns, never values, so they may be shown.
    fn from(error: rusqlite::Error) -> StoreError {
        use rusqlite::Error as E;
        match &error {
            E::SqliteFailure(failure, _) => match failure.code {
                ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DiskFull
                | ErrorCode::OutOfMemory => StoreError::Busy(error.to_string()),
                // The statements look before they write: a constraint is hit only by rows that contradict each other.
                ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::ConstraintViolation => StoreError::Corrupt(error.to_string()),
                _ => StoreError::Unavailable(error.to_string()),
            },
            E::FromSqlConversionFailure(..)
            | E::IntegralValueOutOfRange(..)
            | E::InvalidColumnType(..)
            | E::Utf8Error(..) => StoreError::Corrupt(error.to_string()),
            _ => StoreError::Unavailable(error.to_string()),
        }
    }
}
