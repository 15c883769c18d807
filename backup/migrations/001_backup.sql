-- Every run, written down when it begins: one without an outcome was ended by something that let nobody speak.
CREATE TABLE run (
    id          TEXT    PRIMARY KEY,
    began       TEXT    NOT NULL,
    ended       TEXT,
    outcome     TEXT    CHECK (outcome IN ('done', 'failed')),
    reason      TEXT    NOT NULL DEFAULT '',    -- the error's code
    repository  TEXT    NOT NULL DEFAULT '',    -- restic's id of it
    snapshot    TEXT    NOT NULL DEFAULT '',
    bytes       INTEGER NOT NULL DEFAULT 0,
    told        INTEGER NOT NULL DEFAULT 0      -- its fact is in the outbox
) STRICT, WITHOUT ROWID;
CREATE INDEX run_began ON run (began);
