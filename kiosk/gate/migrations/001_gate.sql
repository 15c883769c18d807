-- A gate's own numbering and people counts, and what is not yet safely in the outbox.
CREATE TABLE gate_self (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    next    INTEGER NOT NULL,  -- number of the next passage
    entered INTEGER,           -- the gate's counters as last told; NULL before the first reading
    "left"  INTEGER
) STRICT;

CREATE TABLE gate_untold (
    passage INTEGER PRIMARY KEY,
    kind    TEXT    NOT NULL,
    body    TEXT    NOT NULL
) STRICT;
