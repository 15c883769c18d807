-- Orders as they came, and the mode they left the app in.
CREATE TABLE remote_self (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    epoch     TEXT    NOT NULL DEFAULT '',      -- the outbox epoch that seq counts in
    seq       INTEGER NOT NULL DEFAULT 0,       -- of the last order taken
    issued    TEXT    NOT NULL DEFAULT '',      -- the latest time an authentic order was issued at
    mode      TEXT    NOT NULL DEFAULT 'open',
    mode_left REAL,                             -- seconds until it is open again; NULL: it stays
    mode_by   TEXT    NOT NULL DEFAULT ''       -- id of the order that set it
) STRICT;

CREATE TABLE remote_order (
    no      INTEGER PRIMARY KEY,
    id      TEXT    NOT NULL UNIQUE,
    epoch   TEXT    NOT NULL,
    seq     INTEGER NOT NULL,
    name    TEXT    NOT NULL,
    nv      INTEGER NOT NULL,
    args    TEXT    NOT NULL,                   -- JSON; emptied once answered: it may hold a token
    asker   TEXT    NOT NULL,
    persons TEXT    NOT NULL,                   -- who approved, separated by spaces
    expires TEXT    NOT NULL,
    taken   TEXT    NOT NULL,
    state   TEXT    NOT NULL CHECK (state IN ('taken', 'begun', 'answered')),
    outcome TEXT,                               -- what is to be told, or was
    reason  TEXT    NOT NULL DEFAULT '',
    result  TEXT    NOT NULL DEFAULT '{}'
) STRICT;
