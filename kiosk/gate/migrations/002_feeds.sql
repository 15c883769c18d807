-- Feeds as they came, signature and all, so that a gate knows them after a start without the network.
CREATE TABLE gate_feed (
    name    TEXT    PRIMARY KEY,
    version INTEGER NOT NULL,  -- only grows
    payload BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
