-- Feeds as they came, signature and all, so that a station knows them after a start without the network.
CREATE TABLE IF NOT EXISTS heed_feed (
    name    TEXT    PRIMARY KEY,
    version INTEGER NOT NULL,  -- only grows
    payload BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
