//! What a store can fail with, and whether trying again can help.

/// A store's error.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The record has moved on since it was read (or is there already): read again and decide again.
    #[error("the record has changed since it was read")]
    Conflict,
    /// There is no such record.
    #[error("no such record")]
    NotFound,
    /// The store cannot take more for the moment: its queue is full, or its disk is.
    #[error("the store is full or busy: {0}")]
    Busy(String),
    /// The store cannot be reached or used.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// What the store holds cannot be read.
    #[error("the store holds what cannot be read: {0}")]
    Corrupt(String),
}

impl StoreError {
    /// A name of a closed set, for metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            StoreError::Conflict => "conflict",
            StoreError::NotFound => "not_found",
            StoreError::Busy(_) => "busy",
            StoreError::Unavailable(_) => "unavailable",
            StoreError::Corrupt(_) => "corrupt",
        }
    }

    /// Whether the same call may succeed later without any change.
    #[must_use]
    pub fn retryable(&self) -> bool {
        matches!(self, StoreError::Busy(_) | StoreError::Unavailable(_))
    }
}
