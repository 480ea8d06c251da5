-- Version 1 of the ledger. Times are microseconds since 1970 in UTC; JSON is kept as text.

-- Destinations that were ever seen, whether they are still configured or not.
CREATE TABLE destinations (
    name TEXT PRIMARY KEY,
    first_seen INTEGER NOT NULL,
    -- Every scheduled interval up to here has a run; null until a service has seen the schedule.
    covered INTEGER,
    -- Runs that failed for good since the last one that succeeded.
    failed_in_a_row INTEGER NOT NULL DEFAULT 0,
    -- Completed runs without rows since the last one with rows.
    empty_in_a_row INTEGER NOT NULL DEFAULT 0,
    paused_at INTEGER,
    paused_by TEXT CHECK (paused_by IN ('operator', 'failures')),
    pause_reason TEXT
) STRICT;

-- One row for each interval of each destination, whoever asked for it.
CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    destination TEXT NOT NULL,
    model TEXT NOT NULL,
    -- Null: everything before the end.
    start INTEGER,
    end INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('starting', 'running', 'completed', 'failed', 'failed_retryable',
                                         'cancelled', 'timed_out', 'skipped')),
    origin TEXT NOT NULL CHECK (origin IN ('schedule', 'backfill', 'hand')),
    backfill INTEGER REFERENCES backfills (id),
    -- Why it was skipped, or runs again.
    reason TEXT,
    created INTEGER NOT NULL,
    -- It does not start earlier: its jitter, or the wait after a failed attempt.
    not_before INTEGER NOT NULL,
    started INTEGER,
    finished INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    -- Attempts and the milliseconds they took, since it was last asked for: what the failure policy counts.
    tries INTEGER NOT NULL DEFAULT 0,
    used_ms INTEGER NOT NULL DEFAULT 0,
    -- Of the last attempt.
    rows INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0,
    files INTEGER NOT NULL DEFAULT 0,
    warnings INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    cancel_requested INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX runs_of_destination ON runs (destination, end);
CREATE INDEX runs_by_finish ON runs (finished);
CREATE INDEX runs_ended ON runs (destination, finished);
-- People name a run by the beginning of the hash at the end of its id.
CREATE INDEX runs_by_hash ON runs (substr(id, -24));
CREATE INDEX runs_waiting ON runs (destination, backfill IS NOT NULL, end)
    WHERE state IN ('starting', 'failed_retryable');
-- What is not exported yet, for how far a destination is behind.
CREATE INDEX runs_open ON runs (destination, end)
    WHERE origin = 'schedule' AND state IN ('starting', 'running', 'failed', 'failed_retryable', 'timed_out');
CREATE INDEX runs_running ON runs (state) WHERE state = 'running';
CREATE INDEX runs_of_backfill ON runs (backfill) WHERE backfill IS NOT NULL;

-- Every attempt at a run. With row ids: without them each report would take a page of its own.
CREATE TABLE attempts (
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    id TEXT,
    started INTEGER NOT NULL,
    finished INTEGER,
    outcome TEXT,
    -- SHA-256 of the plugin.
    component TEXT NOT NULL,
    rows INTEGER NOT NULL DEFAULT 0,
    report TEXT,
    error TEXT,
    PRIMARY KEY (run, number)
) STRICT;

CREATE TABLE log (
    id INTEGER PRIMARY KEY,
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    attempt INTEGER NOT NULL,
    at INTEGER NOT NULL,
    level TEXT NOT NULL,
    line TEXT NOT NULL
) STRICT;
CREATE INDEX log_of_run ON log (run, id);

CREATE TABLE backfills (
    id INTEGER PRIMARY KEY,
    destination TEXT NOT NULL,
    start INTEGER NOT NULL,
    end INTEGER NOT NULL,
    runs_at_once INTEGER NOT NULL,
    created INTEGER NOT NULL,
    cancelled INTEGER
) STRICT;

-- What attempts have open: the notes by which it is cleaned up after them.
CREATE TABLE journals (
    attempt TEXT PRIMARY KEY,
    run TEXT NOT NULL,
    began INTEGER NOT NULL,
    origin TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX journals_of_run ON journals (run, began);
CREATE TABLE notes (
    attempt TEXT NOT NULL REFERENCES journals (attempt) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    note BLOB NOT NULL,
    PRIMARY KEY (attempt, number)
) STRICT, WITHOUT ROWID;

-- Seals of the settings with which destinations were last checked and worked.
CREATE TABLE checks (
    destination TEXT PRIMARY KEY,
    seal TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Alerts, for a while after they were raised.
CREATE TABLE alerts (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    destination TEXT NOT NULL,
    body TEXT NOT NULL,
    -- Whether the receivers that there were have their deliveries.
    addressed INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX alerts_new ON alerts (id) WHERE addressed = 0;
-- An alert on its way to one receiver.
CREATE TABLE deliveries (
    alert INTEGER NOT NULL REFERENCES alerts (id) ON DELETE CASCADE,
    -- Its name for this program, never its address, which may be a secret.
    receiver TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'given_up')),
    since INTEGER NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER NOT NULL,
    error TEXT,
    PRIMARY KEY (alert, receiver)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_waiting ON deliveries (receiver, not_before) WHERE state = 'waiting';
-- Causes that an alert told of and that have not passed.
CREATE TABLE causes (
    destination TEXT NOT NULL,
    cause TEXT NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (destination, cause)
) STRICT, WITHOUT ROWID;

-- How often a command has asked the service for something: it looks at the rest only when this number has changed.
CREATE TABLE orders (
    number INTEGER NOT NULL
) STRICT;
INSERT INTO orders VALUES (0);
