-- What happened since the kiosk last rested; the state is the fold over it.
CREATE TABLE journal (
    no      INTEGER PRIMARY KEY,
    kind    TEXT    NOT NULL,  -- name of the event's class
    body    TEXT    NOT NULL   -- its fields as JSON
) STRICT;
