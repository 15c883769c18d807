-- Rows from before this release hold their card in clear.
ALTER TABLE journal ADD COLUMN sealed INTEGER NOT NULL DEFAULT 0;

-- A key per visit, wrapped by the key file that no backup holds; its row goes when the visit is reconciled.
CREATE TABLE seal (
    session TEXT PRIMARY KEY,
    wrapped BLOB NOT NULL
) STRICT;
