-- Listings for requesters: by owner, newest status first. Nanoseconds since the epoch. The time that an older task's
-- status says is not read again here: its last change is no earlier.
ALTER TABLE tasks ADD COLUMN status_at INTEGER NOT NULL DEFAULT 0;
UPDATE tasks SET status_at = updated_at * 1000000;

CREATE INDEX tasks_by_status ON tasks (route, tenant, owner, status_at DESC, id);
