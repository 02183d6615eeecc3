-- The dialect that a task was sent in, so that a call that only names the task is answered in it.
ALTER TABLE tasks ADD COLUMN requester TEXT NOT NULL DEFAULT '';
