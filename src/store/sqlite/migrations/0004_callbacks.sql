-- Callbacks beside webhooks: registrations that get nothing but the end.
ALTER TABLE push_configs ADD COLUMN kind INTEGER NOT NULL DEFAULT 0;  -- 0 webhook, 1 callback
