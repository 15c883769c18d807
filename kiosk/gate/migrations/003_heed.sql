-- Kiosks heed feeds, too, so kiosk.heed keeps them now; what a gate knows already stays known.
CREATE TABLE IF NOT EXISTS heed_feed (
    name    TEXT    PRIMARY KEY,
    version INTEGER NOT NULL,  -- only grows
    payload BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
INSERT OR IGNORE INTO heed_feed SELECT name, version, payload FROM gate_feed;
DROP TABLE gate_feed;
