-- Incidents, what they were made of, their timelines; and what is still to be done because of them.
CREATE TABLE incident (
    no          INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT    NOT NULL UNIQUE,
    kind        TEXT    NOT NULL,
    severity    TEXT    NOT NULL,
    device      TEXT    NOT NULL,
    app         TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    args        TEXT    NOT NULL,             -- JSON
    state       TEXT    NOT NULL,             -- open, acked, resolved
    opened      TEXT    NOT NULL,             -- first signal
    last        TEXT    NOT NULL,             -- last signal
    ended       TEXT    NOT NULL,             -- latest end told, or empty
    changed     TEXT    NOT NULL,             -- our clock
    signals     INTEGER NOT NULL,
    sources     TEXT    NOT NULL,             -- words
    acked_by    TEXT    NOT NULL,
    resolved_by TEXT    NOT NULL,
    execution   TEXT    NOT NULL
) STRICT;
CREATE INDEX incident_standing ON incident (device, key) WHERE state != 'resolved';

-- What was heard, so that twice is once. Old ones go.
CREATE TABLE signal (
    id          TEXT    PRIMARY KEY,
    incident    INTEGER,                      -- none: it ended what nobody told of
    kind        TEXT    NOT NULL,
    device      TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    ends        INTEGER NOT NULL,
    at          TEXT    NOT NULL,
    rx          TEXT    NOT NULL              -- when it reached the gateway, or us
) STRICT;
CREATE INDEX signal_subject ON signal (device, kind, key, ends, at);
CREATE INDEX signal_age ON signal (rx);

CREATE TABLE entry (
    no          INTEGER PRIMARY KEY AUTOINCREMENT,
    incident    INTEGER NOT NULL REFERENCES incident (no),
    at          TEXT    NOT NULL,
    actor       TEXT    NOT NULL,
    what        TEXT    NOT NULL,
    ref         TEXT    NOT NULL,             -- names the happening, or empty
    text        TEXT    NOT NULL,
    args        TEXT    NOT NULL              -- JSON
) STRICT;
CREATE INDEX entry_incident ON entry (incident, no);
CREATE UNIQUE INDEX entry_ref ON entry (incident, ref) WHERE ref != '';

-- A playbook to begin; goes once it has begun or was refused.
CREATE TABLE due (
    execution   TEXT    PRIMARY KEY,
    incident    INTEGER NOT NULL REFERENCES incident (no),
    playbook    TEXT    NOT NULL
) STRICT;

-- Facts to tell; a row goes once the outbox has it.
CREATE TABLE untold (
    no          INTEGER PRIMARY KEY AUTOINCREMENT,
    fact        TEXT    NOT NULL              -- JSON of an audited fact
) STRICT;

CREATE TABLE tally (
    source      TEXT    PRIMARY KEY,
    signals     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
