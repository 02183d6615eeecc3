//! What a file brings with it: kills, full disks, damage, other versions, other processes.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use a2a_sidecar::store::sqlite::{OpenError, Sync};
use a2a_sidecar::store::{
    Deliveries, SqliteOptions, SqliteStore, Store, StoreError, TaskFilter, TaskLog,
};
use a2a_sidecar::task::Seq;
use futures_util::future::join_all;
use rusqlite::Connection;
use tempfile::TempDir;

use super::sample::{append, append_of, chunk, create, ended, key, numbers};

fn place() -> (TempDir, PathBuf) {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("tasks.db");
    (folder, path)
}

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, SqliteOptions::default()).expect("open")
}

/// Names the file to the child of the test below.
const CHILD: &str = "STORE_TEST_CHILD_DATABASE";
/// Tasks that the child writes to at once.
const WRITERS: usize = 4;

/// Not a test: appends for ever and says what was acknowledged, until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that a_kill_loses_nothing_that_was_acknowledged starts and kills"]
async fn child() {
    let path = std::env::var_os(CHILD).expect("only for its parent");
    let store: Arc<dyn Store> = Arc::new(open(Path::new(&path)));
    let writers = (0..WRITERS).map(|n| {
        let store = store.clone();
        tokio::spawn(async move {
            let id = format!("push{n}");
            match create(&*store, &id).await {
                Ok(()) | Err(StoreError::Conflict) => {}
                Err(error) => panic!("create: {error}"),
            }
            loop {
                let events = vec![chunk(&id, "some text"), chunk(&id, "and more")];
                let append = append_of(&*store, &id, events).await;
                let last = append.expect.0 + 2;
                store.append(append).await.expect("append");
                let mut out = std::io::stdout().lock();
                writeln!(out, "kept {n} {last}").expect("the parent reads");
            }
        })
    });
    let ended = join_all(writers).await;
    panic!("a writer has ended: {ended:?}");
}

/// The task and the number in a line of the child's.
fn kept(line: &str) -> Option<(usize, u64)> {
    let (_, said) = line.split_once("kept ")?;
    let (task, seq) = said.split_once(' ')?;
    Some((task.parse().ok()?, seq.parse().ok()?))
}

#[tokio::test]
async fn a_kill_loses_nothing_that_was_acknowledged() {
    let (_folder, path) = place();
    let mut acknowledged = [1; WRITERS];
    for round in 0..6 {
        let lines = rand::random_range(1..150);
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "sqlite_only::child", "--ignored", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let mut out = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut seen = 0;
        while seen < lines {
            let line = out.next().expect("the child writes on").expect("a line");
            if let Some((task, seq)) = kept(&line) {
                acknowledged[task] = seq;
                seen += 1;
            }
        }
        child.kill().expect("kill -9");
        // What it said before it died counts too; a line cut off by the kill does not.
        let rest: Vec<String> = out.map_while(Result::ok).collect();
        for (task, seq) in rest.iter().filter_map(|line| kept(line)) {
            acknowledged[task] = acknowledged[task].max(seq);
        }
        child.wait().expect("its end");

        let store = open(&path);
        for (task, &last) in acknowledged.iter().enumerate() {
            let id = format!("push{task}");
            let Some(record) = store.task(&key(&id)).await.expect("task") else {
                assert_eq!(last, 1, "round {round}, killed after {lines}: {id} is lost");
                continue;
            };
            let about = format!("round {round}, killed after {lines}, {id}, {last}");
            assert!(record.last_seq.0 >= last, "{about}: {}", record.last_seq);
            // Both events of an append or none.
            assert_eq!(record.last_seq.0 % 2, 1, "{about}");
            let log = numbers(&store, &id).await;
            assert!(log.iter().copied().eq(1..=record.last_seq.0), "{about}");
            let parts = record.task.artifacts.first().map_or(0, |a| a.parts.len());
            assert_eq!(parts as u64 + 1, record.last_seq.0, "{about}");
            let rows = store.deliveries(&key(&id), usize::MAX).await;
            assert_eq!(rows.expect("rows").len(), log.len(), "{about}");
        }
        store.close().await.expect("close");
    }
}

#[tokio::test]
async fn closing_leaves_one_file_that_opens_with_everything() {
    for sync in [Sync::Normal, Sync::Full] {
        let (_folder, path) = place();
        let options = SqliteOptions {
            sync,
            ..SqliteOptions::default()
        };
        let store = SqliteStore::open(&path, options).expect("open");
        create(&store, "push").await.expect("create");
        append(&store, "push", vec![chunk("push", "x")])
            .await
            .expect("append");
        let before = store.task(&key("push")).await.expect("task");
        store.close().await.expect("close");
        assert!(!path.with_extension("db-wal").exists());
        let closed = store.task(&key("push")).await;
        assert!(matches!(closed, Err(StoreError::Unavailable(_))));
        let closed = store.expire(0, 1).await;
        assert!(matches!(closed, Err(StoreError::Unavailable(_))));
        store.close().await.expect("a second close");
        let again = open(&path);
        assert_eq!(again.task(&key("push")).await.expect("task"), before);
        let claims = again.claim(0, 0, 0).await.expect("claim");
        assert_eq!(claims.next_due, Some(1000));
    }
}

#[tokio::test]
async fn the_second_opener_is_refused_until_the_first_has_closed() {
    let (_folder, path) = place();
    let first = open(&path);
    let second = SqliteStore::open(&path, SqliteOptions::default());
    assert!(matches!(second, Err(OpenError::InUse { .. })), "{second:?}");
    create(&first, "t").await.expect("the first goes on");
    first.close().await.expect("close");
    assert_eq!(numbers(&open(&path), "t").await, [1]);
}

#[cfg(unix)]
#[tokio::test]
async fn the_folder_and_the_files_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().expect("a folder");
    let made = folder.path().join("a/b");
    let store = open(&made.join("tasks.db"));
    create(&store, "t").await.expect("create");
    let mode = |path: &Path| {
        let metadata = std::fs::metadata(path).expect("metadata");
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode(&made), 0o700);
    let mut files = 0;
    for entry in std::fs::read_dir(&made).expect("list") {
        let path = entry.expect("an entry").path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        files += 1;
    }
    assert!(files >= 3, "database, log and lock, not {files}");
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let (_folder, path) = place();
    open(&path).close().await.expect("close");
    let conn = Connection::open(&path).expect("open by hand");
    conn.pragma_update(None, "user_version", 999).expect("set");
    drop(conn);
    let before = std::fs::read(&path).expect("read");
    let newer = SqliteStore::open(&path, SqliteOptions::default());
    assert!(
        matches!(newer, Err(OpenError::Newer { found: 999, .. })),
        "{newer:?}"
    );
    assert_eq!(std::fs::read(&path).expect("read"), before);
}

/// A file as the first release left it: a task of then is read, and can be told how it was sent from now on.
#[tokio::test]
async fn an_older_schema_is_brought_to_this_one_with_what_is_in_it() {
    let (_folder, path) = place();
    let conn = Connection::open(&path).expect("open by hand");
    conn.execute_batch(include_str!(
        "../../src/store/sqlite/migrations/0001_initial.sql"
    ))
    .expect("the first schema");
    conn.execute_batch(
        "INSERT INTO tasks VALUES (1, 'route', '', 't', 7, zeroblob(32), 'TASK_STATE_WORKING', 'c', 1, 1, 1000, 1000,
            NULL, 1, 10, 0, 'w', 'c', 'http://worker/', 'poll', NULL, NULL);
         INSERT INTO snapshots VALUES (1, '{\"id\":\"t\",\"contextId\":\"c\",\"status\":{\"state\":\"TASK_STATE_WORKING\"}}');
         PRAGMA application_id = 1093812595;
         PRAGMA user_version = 1;",
    )
    .expect("a task of then");
    drop(conn);
    let store = open(&path);
    let record = store.task(&key("t")).await.expect("read").expect("a task");
    assert_eq!(record.link.source, "poll");
    assert_eq!(record.link.requester, "");
    let mut append = append_of(&store, "t", vec![chunk("t", "more")]).await;
    let mut link = record.link.clone();
    Arc::make_mut(&mut link).requester = "praisonai".to_owned();
    append.link = Some(link.clone());
    store.append(append).await.expect("append");
    let record = store.task(&key("t")).await.expect("read").expect("a task");
    assert_eq!(record.link, link);
}

#[test]
fn a_database_of_another_program_is_refused_and_left_alone() {
    let (_folder, path) = place();
    let conn = Connection::open(&path).expect("open by hand");
    conn.execute_batch("CREATE TABLE theirs (x)").expect("make");
    drop(conn);
    let before = std::fs::read(&path).expect("read");
    let foreign = SqliteStore::open(&path, SqliteOptions::default());
    assert!(
        matches!(foreign, Err(OpenError::Foreign { .. })),
        "{foreign:?}"
    );
    assert_eq!(std::fs::read(&path).expect("read"), before);
}

#[test]
fn a_file_that_is_no_database_is_corrupt() {
    let (_folder, path) = place();
    std::fs::write(&path, "not a database at all\n".repeat(500)).expect("write");
    let result = SqliteStore::open(&path, SqliteOptions::default());
    let corrupt = matches!(
        result,
        Err(OpenError::Store {
            source: StoreError::Corrupt(_),
            ..
        })
    );
    assert!(corrupt, "{result:?}");
}

#[tokio::test]
async fn damage_to_a_record_is_corrupt_says_nothing_of_it_and_spares_the_others() {
    let (_folder, path) = place();
    let store = open(&path);
    for id in ["json", "gap", "good"] {
        create(&store, id).await.expect("create");
        append(&store, id, vec![chunk(id, "x")])
            .await
            .expect("append");
    }
    store.close().await.expect("close");
    let conn = Connection::open(&path).expect("open by hand");
    conn.execute_batch(
        "UPDATE snapshots SET json = '{\"id\": hunter2' WHERE task = (SELECT task FROM tasks WHERE id = 'json');
         UPDATE tasks SET snapshot_seq = 1 WHERE id = 'gap';
         DELETE FROM events WHERE seq = 2 AND task = (SELECT task FROM tasks WHERE id = 'gap');",
    )
    .expect("damage");
    drop(conn);
    let store = open(&path);
    for id in ["json", "gap"] {
        match store.task(&key(id)).await {
            Err(StoreError::Corrupt(text)) => {
                assert!(text.contains(id) && !text.contains("hunter2"), "{text}");
            }
            other => panic!("{id}: {other:?}"),
        }
    }
    assert_eq!(numbers(&store, "good").await, [1, 2]);
    append(&store, "good", vec![chunk("good", "y")])
        .await
        .expect("append");
}

#[tokio::test]
async fn a_damaged_page_is_corrupt_and_never_an_answer() {
    let (_folder, path) = place();
    let store = open(&path);
    let text = "x".repeat(20_000);
    create(&store, "t").await.expect("create");
    append(&store, "t", vec![chunk("t", &text)])
        .await
        .expect("append");
    store.close().await.expect("close");
    // The roots of the tables of tasks and their indexes, not the schema: the file still opens.
    let conn = Connection::open(&path).expect("open by hand");
    let mut read = conn
        .prepare("SELECT rootpage FROM sqlite_schema WHERE tbl_name = 'tasks'")
        .expect("the schema");
    let roots: Vec<i64> = read
        .query_map([], |row| row.get(0))
        .and_then(Iterator::collect)
        .expect("the roots");
    let page: i64 = conn
        .pragma_query_value(None, "page_size", |row| row.get(0))
        .expect("the page size");
    drop(read);
    drop(conn);
    assert!(roots.len() > 1);
    let mut bytes = std::fs::read(&path).expect("read");
    let page = usize::try_from(page).expect("a size");
    for root in roots {
        let start = (usize::try_from(root).expect("a page") - 1) * page;
        bytes[start..start + page].fill(0xA5);
    }
    std::fs::write(&path, bytes).expect("write");
    let store = open(&path);
    let read = store.task(&key("t")).await;
    assert!(matches!(read, Err(StoreError::Corrupt(_))), "{read:?}");
    let written = create(&store, "u").await;
    assert!(
        matches!(written, Err(StoreError::Corrupt(_))),
        "{written:?}"
    );
}

#[tokio::test]
async fn a_full_disk_is_busy_keeps_what_is_there_and_ends_with_room() {
    let (_folder, path) = place();
    let options = SqliteOptions {
        max_bytes: Some(400 * 1024),
        ..SqliteOptions::default()
    };
    let store = SqliteStore::open(&path, options).expect("open");
    create(&store, "old").await.expect("create");
    create(&store, "new").await.expect("create");
    let text = "x".repeat(30_000);
    let mut last = 1;
    let full = loop {
        match append(&store, "old", vec![chunk("old", &text)]).await {
            Ok(()) => last += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, StoreError::Busy(_)), "{full:?}");
    assert!(full.retryable());
    assert!(last > 2, "some fitted");
    assert!(numbers(&store, "old").await.into_iter().eq(1..=last));
    let record = store.task(&key("old")).await.expect("task").expect("there");
    assert_eq!(record.last_seq, Seq(last));
    // Room comes back by trimming and expiry, through the same full store.
    store.trim(&key("old"), Seq(last)).await.expect("trim");
    append(&store, "old", vec![ended("old")])
        .await
        .expect("append");
    assert_eq!(store.expire(i64::MAX, 1).await.expect("expire"), 1);
    for _ in 0..2 {
        append(&store, "new", vec![chunk("new", &text)])
            .await
            .expect("append");
    }
    assert_eq!(numbers(&store, "new").await, [1, 2, 3]);
}

/// Holds the database's write lock, so that the store's writer waits with whatever it has taken.
fn hold(path: &Path) -> Connection {
    let conn = Connection::open(path).expect("open by hand");
    conn.execute_batch("BEGIN IMMEDIATE").expect("lock");
    conn
}

#[tokio::test]
async fn one_of_a_group_that_fails_spoils_no_other() {
    let (_folder, path) = place();
    let options = SqliteOptions {
        max_bytes: Some(400 * 1024),
        ..SqliteOptions::default()
    };
    let store = SqliteStore::open(&path, options).expect("open");
    let mut calls = Vec::new();
    for n in 0..20 {
        let id = format!("t{n}");
        create(&store, &id).await.expect("create");
        // Every fourth comes with a stale number, and every fifth needs more than there is.
        let large = "x".repeat(600_000);
        let text = if n % 5 == 0 { &large } else { "x" };
        let mut append = append_of(&store, &id, vec![chunk(&id, text)]).await;
        if n % 4 == 0 {
            append.expect = Seq(0);
        }
        calls.push(append);
    }
    let lock = hold(&path);
    let answers = join_all(calls.into_iter().map(|append| store.append(append)));
    let release = async { lock.execute_batch("ROLLBACK").expect("release") };
    let (answers, ()) = tokio::join!(biased; answers, release);
    for (n, answer) in answers.into_iter().enumerate() {
        let right = match answer {
            Err(StoreError::Conflict) => n % 4 == 0,
            Err(StoreError::Busy(_)) => n % 4 != 0 && n % 5 == 0,
            Ok(()) => n % 4 != 0 && n % 5 != 0,
            Err(_) => false,
        };
        assert!(right, "{n}: {answer:?}");
        let last = if answer.is_ok() { 2 } else { 1 };
        assert!(
            numbers(&store, &format!("t{n}"))
                .await
                .into_iter()
                .eq(1..=last)
        );
    }
}

#[tokio::test]
async fn what_fails_half_way_leaves_nothing_behind() {
    let (_folder, path) = place();
    let store = open(&path);
    for id in ["bad", "good"] {
        create(&store, id).await.expect("create");
    }
    // An event that the task's row does not know of: the append finds out after it has changed that row.
    let beside = Connection::open(&path).expect("open by hand");
    beside
        .execute_batch("INSERT INTO events SELECT task, 2, 0, '{}' FROM tasks WHERE id = 'bad'")
        .expect("damage");
    let before = store.task(&key("bad")).await.expect("task");
    let bad = append_of(&store, "bad", vec![ended("bad")]).await;
    let good = append_of(&store, "good", vec![ended("good")]).await;
    let (bad, good) = tokio::join!(store.append(bad), store.append(good));
    assert!(matches!(bad, Err(StoreError::Corrupt(_))), "{bad:?}");
    good.expect("append");
    assert_eq!(store.task(&key("bad")).await.expect("task"), before);
    assert_eq!(numbers(&store, "good").await, [1, 2]);
}

#[tokio::test]
async fn a_full_queue_is_busy_at_once_and_the_rest_still_happens() {
    let (_folder, path) = place();
    let options = SqliteOptions {
        max_queue: 1,
        ..SqliteOptions::default()
    };
    let store = SqliteStore::open(&path, options).expect("open");
    let lock = hold(&path);
    // More than one transaction takes and the queue holds.
    let ids: Vec<String> = (0..400).map(|n| format!("t{n}")).collect();
    let answers = join_all(ids.iter().map(|id| create(&store, id)));
    let release = async { lock.execute_batch("ROLLBACK").expect("release") };
    let (answers, ()) = tokio::join!(biased; answers, release);
    let kept = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!(kept > 0 && kept < ids.len(), "{kept}");
    for answer in answers {
        assert!(
            matches!(answer, Ok(()) | Err(StoreError::Busy(_))),
            "{answer:?}"
        );
    }
    let all = TaskFilter {
        limit: usize::MAX,
        ..TaskFilter::default()
    };
    assert_eq!(store.tasks(all).await.expect("tasks").len(), kept);
}

#[tokio::test]
async fn a_task_in_small_pieces_is_not_rewritten_for_each() {
    const PIECES: usize = 500;
    let (_folder, path) = place();
    let store = open(&path);
    create(&store, "t").await.expect("create");
    let beside = Connection::open(&path).expect("open by hand");
    let mut snapshot = beside
        .prepare("SELECT snapshot_seq, snapshot_bytes FROM tasks")
        .expect("prepare");
    let text = "x".repeat(1000);
    let (mut at, mut rewritten) = (0, 0);
    for _ in 0..PIECES {
        append(&store, "t", vec![chunk("t", &text)])
            .await
            .expect("append");
        let (seq, bytes): (i64, i64) = snapshot
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
            .expect("the task's row");
        if seq != at {
            (at, rewritten) = (seq, rewritten + bytes);
        }
    }
    let events: i64 = beside
        .query_row("SELECT sum(length(json)) FROM events", [], |row| row.get(0))
        .expect("the events");
    assert!(at > 2, "rewritten now and then");
    assert!(
        rewritten <= 2 * events,
        "{rewritten} bytes of snapshots for {events} bytes of events"
    );
}
