-- The last word here about each tag: left in the wrong state, or settled. Older ones go first.
CREATE TABLE pending (
    no   INTEGER PRIMARY KEY,
    uid  TEXT    NOT NULL UNIQUE,
    at   TEXT    NOT NULL,
    want TEXT    NOT NULL,  -- on, off; empty: nothing is to be done
    item TEXT    NOT NULL,
    ref  TEXT    NOT NULL   -- the fact that told of it
) STRICT;
