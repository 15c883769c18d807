-- Executions: each with its own copy of the playbook, and everything that happened to it.
CREATE TABLE execution (
    no          INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT    NOT NULL UNIQUE,
    digest      TEXT    NOT NULL,             -- of what was asked for: the same id again must ask for the same
    playbook    TEXT    NOT NULL,             -- JSON
    state       TEXT    NOT NULL,             -- running, waiting, done, failed, stopped
    over        INTEGER NOT NULL,
    told        INTEGER NOT NULL              -- happenings up to this one are in the timeline and audited
) STRICT;
CREATE INDEX execution_going ON execution (over, no);

CREATE TABLE happening (
    execution   TEXT    NOT NULL REFERENCES execution (id),
    no          INTEGER NOT NULL,             -- from 1, without gaps
    kind        TEXT    NOT NULL,
    body        TEXT    NOT NULL,             -- JSON
    PRIMARY KEY (execution, no)
) STRICT, WITHOUT ROWID;
