-- Facts, what could not be a fact, how far each device is stored, and the counters that follow from the facts.
CREATE TABLE facts (
    cursor  INTEGER PRIMARY KEY AUTOINCREMENT,  -- grows in the order of commit; readers keep it
    id      TEXT    NOT NULL UNIQUE,
    device  TEXT    NOT NULL,                   -- the topic's
    epoch   TEXT    NOT NULL,
    seq     INTEGER NOT NULL,
    kind    TEXT    NOT NULL,
    kv      INTEGER NOT NULL,
    ts      TEXT    NOT NULL,                   -- the device's clock, RFC 3339 UTC; the payload keeps it as it came
    rx      TEXT    NOT NULL,                   -- our clock
    digest  BLOB    NOT NULL,                   -- over device, kind, kv and data: what "same content" means
    payload BLOB    NOT NULL,                   -- the envelope as it came
    UNIQUE (device, epoch, seq)
) STRICT;

-- Places (device, epoch, seq) at which a fact stored elsewhere was told once more.
CREATE TABLE retold (
    device  TEXT    NOT NULL,
    epoch   TEXT    NOT NULL,
    seq     INTEGER NOT NULL,
    id      TEXT    NOT NULL,
    PRIMARY KEY (device, epoch, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE dead (
    no      INTEGER PRIMARY KEY AUTOINCREMENT,
    device  TEXT    NOT NULL,                   -- empty: no device of ours
    epoch   TEXT    NOT NULL,                   -- empty: unknown
    seq     INTEGER,
    topic   TEXT    NOT NULL,
    reason  TEXT    NOT NULL,
    rx      TEXT    NOT NULL,
    times   INTEGER NOT NULL DEFAULT 1,
    size    INTEGER NOT NULL,                   -- of the whole payload
    digest  BLOB    NOT NULL,                   -- over the whole payload
    payload BLOB    NOT NULL                    -- its beginning
) STRICT;
CREATE UNIQUE INDEX dead_place ON dead (device, epoch, seq, digest) WHERE seq IS NOT NULL;
CREATE UNIQUE INDEX dead_stray ON dead (device, topic, digest) WHERE seq IS NULL;

CREATE TABLE watermark (
    device  TEXT    NOT NULL,
    epoch   TEXT    NOT NULL,
    upto    INTEGER NOT NULL,                   -- every seq from 1 to here is in facts, retold or dead
    top     INTEGER NOT NULL,                   -- the highest seq seen
    rx      TEXT    NOT NULL,
    PRIMARY KEY (device, epoch)
) STRICT, WITHOUT ROWID;

-- Projections: only ever changed in the transaction that appends the facts they follow from.
CREATE TABLE counter (
    day     TEXT    NOT NULL,                   -- local
    hour    INTEGER NOT NULL,                   -- local, 0..23
    device  TEXT    NOT NULL,
    measure TEXT    NOT NULL,
    amount  INTEGER NOT NULL,
    PRIMARY KEY (day, hour, device, measure)
) STRICT, WITHOUT ROWID;

CREATE TABLE tally (
    name    TEXT    PRIMARY KEY,                -- new, duplicate, dead:<reason>
    amount  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE device (
    device  TEXT    PRIMARY KEY,
    facts   INTEGER NOT NULL,
    kind    TEXT    NOT NULL,                   -- of the last fact
    ts      TEXT    NOT NULL,
    rx      TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE device_state (
    device  TEXT    NOT NULL,
    app     TEXT    NOT NULL,
    online  INTEGER NOT NULL,
    epoch   TEXT    NOT NULL,
    version TEXT    NOT NULL,
    since   TEXT    NOT NULL,
    PRIMARY KEY (device, app)
) STRICT, WITHOUT ROWID;
