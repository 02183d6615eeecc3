//! Every store against the one suite, and what only the SQLite store promises.

/// The store in memory.
mod memory {
    use std::sync::Arc;

    use a2a_sidecar::store::{MemoryStore, Store};

    async fn make() -> (Arc<dyn Store>, ()) {
        (Arc::new(MemoryStore::default()), ())
    }

    a2a_sidecar::store_conformance!(make);
}

/// The store in a file.
mod sqlite {
    use std::sync::Arc;

    use a2a_sidecar::store::{SqliteOptions, SqliteStore, Store};
    use tempfile::TempDir;

    async fn make() -> (Arc<dyn Store>, TempDir) {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("tasks.db");
        let store = SqliteStore::open(path, SqliteOptions::default()).expect("open");
        (Arc::new(store), folder)
    }

    a2a_sidecar::store_conformance!(make);
}
