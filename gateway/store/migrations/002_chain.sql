-- What a watermark proves, what a cursor belongs to, and what a device's copy is noticed by.
ALTER TABLE watermark ADD COLUMN chain BLOB;    -- 16 bytes, the chain value after upto; NULL: the epoch is from before

-- SHA-256 of the whole payload, its first 16 bytes; NULL: from before. A fact's payload is whole and needs none.
ALTER TABLE retold ADD COLUMN sha BLOB;
ALTER TABLE dead ADD COLUMN sha BLOB;

CREATE INDEX dead_clone ON dead (device, epoch) WHERE reason = 'seq-reuse';

-- A store that came back older begins a new generation; its cursors stand for what they did up to "since" only.
CREATE TABLE generation (
    no      INTEGER PRIMARY KEY AUTOINCREMENT,
    gen     TEXT    NOT NULL UNIQUE,            -- random, 16 hex digits
    since   INTEGER NOT NULL,                   -- the highest cursor when it began
    print   TEXT    NOT NULL                    -- of the file it began in
) STRICT;
