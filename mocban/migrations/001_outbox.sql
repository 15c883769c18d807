-- Facts wait here until the gateway's watermark says they are committed there.
CREATE TABLE outbox_self (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    epoch   TEXT    NOT NULL,
    next    INTEGER NOT NULL,           -- the seq the next fact gets; gapless within the epoch
    upto    INTEGER NOT NULL DEFAULT 0  -- the gateway's watermark
) STRICT;

CREATE TABLE outbox (
    seq     INTEGER PRIMARY KEY,
    id      TEXT    NOT NULL UNIQUE,    -- the derived fact id
    kind    TEXT    NOT NULL,
    payload BLOB    NOT NULL            -- the encoded envelope, the same bytes at every try
) STRICT;

-- Ids told already: a crash between "told" and "journaled" must not give one fact two seqs.
CREATE TABLE outbox_told (
    id      TEXT PRIMARY KEY,
    seq     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
