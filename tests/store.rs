//! Every store against the one suite, and what only the SQLite store promises.

#[path = "store/model.rs"]
mod model;
#[path = "store/sample.rs"]
mod sample;
#[path = "store/sqlite.rs"]
mod sqlite_only;

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

/// The bounds of the store in memory.
mod memory_only {
    use a2a_sidecar::store::{MemoryStore, StoreError, TaskLog};

    use super::sample::{append, create, ended, key};

    #[tokio::test]
    async fn a_full_store_is_busy_and_evicts_nothing() {
        let store = MemoryStore::new(2);
        create(&store, "a").await.expect("create");
        create(&store, "b").await.expect("create");
        let full = create(&store, "c").await;
        assert!(matches!(full, Err(StoreError::Busy(_))), "{full:?}");
        append(&store, "a", vec![ended("a")]).await.expect("append");
        let full = create(&store, "c").await;
        assert!(matches!(full, Err(StoreError::Busy(_))), "{full:?}");
        let again = create(&store, "a").await;
        assert!(matches!(again, Err(StoreError::Conflict)), "{again:?}");
        assert!(store.task(&key("a")).await.expect("task").is_some());
        assert_eq!(store.expire(i64::MAX, 1).await.expect("expire"), 1);
        create(&store, "c").await.expect("create");
    }
}
