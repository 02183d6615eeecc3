-- The first schema. Times are milliseconds since the epoch; numbers of events are those of task::Seq.

-- One row per task, kept small because every append rewrites it: the task itself is in `snapshots`.
CREATE TABLE tasks (
    task              INTEGER PRIMARY KEY,  -- rises with the order of creation
    route             TEXT NOT NULL,
    tenant            TEXT NOT NULL,
    id                TEXT NOT NULL,
    epoch             INTEGER NOT NULL,     -- the bits of a u64
    owner             BLOB NOT NULL,
    state             TEXT NOT NULL,
    context_id        TEXT NOT NULL,
    first_seq         INTEGER NOT NULL,
    last_seq          INTEGER NOT NULL,
    created_at        INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL,
    ended_at          INTEGER,              -- null while the task goes on
    snapshot_seq      INTEGER NOT NULL,     -- the event up to which the snapshot has everything
    snapshot_bytes    INTEGER NOT NULL,
    tail_bytes        INTEGER NOT NULL,     -- of the events after snapshot_seq
    worker_task_id    TEXT,
    worker_context_id TEXT,
    worker            TEXT NOT NULL,
    source            TEXT NOT NULL,
    push_token_hash   BLOB,
    credentials       BLOB,                 -- sealed
    UNIQUE (route, tenant, id)
) STRICT;

CREATE INDEX tasks_by_worker_id ON tasks (route, tenant, worker_task_id) WHERE worker_task_id IS NOT NULL;
CREATE INDEX tasks_by_push_token ON tasks (push_token_hash) WHERE push_token_hash IS NOT NULL;
CREATE INDEX tasks_by_context ON tasks (route, tenant, context_id) WHERE worker_context_id <> context_id;
CREATE INDEX tasks_by_change ON tasks (updated_at DESC, route, tenant, id);
CREATE INDEX tasks_by_owner ON tasks (route, owner, updated_at DESC, tenant, id);
CREATE INDEX tasks_unfinished ON tasks (updated_at DESC, route, tenant, id) WHERE ended_at IS NULL;
CREATE INDEX tasks_by_end ON tasks (ended_at, task) WHERE ended_at IS NOT NULL;

-- The task as it stood after the event tasks.snapshot_seq: canonical JSON.
CREATE TABLE snapshots (
    task INTEGER PRIMARY KEY REFERENCES tasks ON DELETE CASCADE,
    json TEXT NOT NULL
) STRICT;

-- The log: each event as the JSON of a canonical StreamResponse.
CREATE TABLE events (
    task        INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE,
    seq         INTEGER NOT NULL,
    observed_at INTEGER NOT NULL,
    json        TEXT NOT NULL,
    UNIQUE (task, seq)
) STRICT;

CREATE TABLE push_configs (
    n          INTEGER PRIMARY KEY,
    task       INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE,
    id         TEXT NOT NULL,
    dialect    TEXT NOT NULL,
    config     BLOB NOT NULL,               -- sealed
    created_at INTEGER NOT NULL,
    UNIQUE (task, id)
) STRICT;

-- The ledger. A number is never used twice: a late `finish` must not meet another delivery.
CREATE TABLE deliveries (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    task            INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE,
    config_id       TEXT NOT NULL,
    seq             INTEGER NOT NULL,
    kind            INTEGER NOT NULL,       -- 0 event, 1 snapshot
    state           INTEGER NOT NULL,       -- 0 pending, 1 delivered, 2 dead
    attempts        INTEGER NOT NULL,
    next_attempt_at INTEGER NOT NULL,
    claimed_until   INTEGER NOT NULL,
    last_outcome    TEXT,
    created_at      INTEGER NOT NULL,
    -- When the row can be claimed; only the oldest pending row of a config has one. So a claim reads no more rows
    -- than it takes, however many wait behind a receiver that is away.
    due_at          INTEGER
) STRICT;

CREATE INDEX deliveries_due ON deliveries (due_at, id) WHERE due_at IS NOT NULL;
CREATE INDEX deliveries_pending ON deliveries (task, config_id, id) WHERE state = 0;
CREATE INDEX deliveries_by_task ON deliveries (task, id);
