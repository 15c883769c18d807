-- Orders to devices, what is still to be audited about them, and the numbers that may never be used twice.
CREATE TABLE orders (
    no        INTEGER PRIMARY KEY AUTOINCREMENT,  -- grows in the order of asking; so they are sent
    id        TEXT    NOT NULL UNIQUE,            -- the request's
    digest    BLOB    NOT NULL,                   -- over request and approvals: what "the same ask" means
    request   TEXT    NOT NULL,                   -- JSON, as approved
    approvals TEXT    NOT NULL,                   -- JSON
    persons   TEXT    NOT NULL,                   -- who approved, in words
    asker     TEXT    NOT NULL,
    device    TEXT    NOT NULL,
    app       TEXT    NOT NULL,
    name      TEXT    NOT NULL,
    expires   TEXT    NOT NULL,
    state     TEXT    NOT NULL,                   -- queued, sent, received, done, refused, failed, expired
    epoch     TEXT    NOT NULL DEFAULT '',        -- the outbox it was signed for
    seq       INTEGER NOT NULL DEFAULT 0,
    payload   BLOB,                               -- the signed order
    reason    TEXT    NOT NULL DEFAULT '',
    result    TEXT    NOT NULL DEFAULT '{}',      -- JSON, the device's
    asked     TEXT    NOT NULL,
    sent      TEXT    NOT NULL DEFAULT '',        -- first time
    received  TEXT    NOT NULL DEFAULT '',
    answered  TEXT    NOT NULL DEFAULT ''         -- the device's word; it outlives our giving up
) STRICT;
CREATE INDEX orders_open ON orders (no) WHERE state IN ('queued', 'sent', 'received');

CREATE TABLE order_seq (
    device    TEXT    NOT NULL,
    app       TEXT    NOT NULL,
    last      INTEGER NOT NULL,
    PRIMARY KEY (device, app)
) STRICT, WITHOUT ROWID;

-- Written with what it tells of; goes once it stands among our own facts.
CREATE TABLE order_audit (
    no        INTEGER PRIMARY KEY AUTOINCREMENT,
    id        TEXT    NOT NULL,
    action    TEXT    NOT NULL,
    outcome   TEXT    NOT NULL,
    reason    TEXT    NOT NULL
) STRICT;

CREATE TABLE feed (
    device    TEXT    NOT NULL,
    name      TEXT    NOT NULL,
    version   INTEGER NOT NULL,
    PRIMARY KEY (device, name)
) STRICT, WITHOUT ROWID;

-- What feeds are built from, found without reading every fact.
CREATE INDEX facts_lending ON facts (rx) WHERE kind IN ('loan-made', 'return-made');
