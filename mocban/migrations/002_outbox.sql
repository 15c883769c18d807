-- Delivered facts are kept for a gateway that comes back older; a full outbox sheds; a new epoch is one row's change.
-- seq here only grows; on the wire it is seq - shift.
ALTER TABLE outbox ADD COLUMN class INTEGER NOT NULL DEFAULT 2;     -- 0, 1, 2 as events.Shed; 3: given up, payload is a stub
UPDATE outbox SET class = 0 WHERE kind = 'people-counted';
UPDATE outbox SET class = 1 WHERE kind IN ('item-refused', 'device-changed');
CREATE INDEX outbox_sheddable ON outbox (class, seq) WHERE class < 2;
CREATE INDEX outbox_told_seq ON outbox_told (seq);

ALTER TABLE outbox_self ADD COLUMN shift INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outbox_self ADD COLUMN old INTEGER NOT NULL DEFAULT 0;     -- up to here payloads name an earlier epoch
ALTER TABLE outbox_self ADD COLUMN floor INTEGER NOT NULL DEFAULT 1;   -- the first seq still held; all from it to next are
ALTER TABLE outbox_self ADD COLUMN sent INTEGER NOT NULL DEFAULT 0;    -- up to here bytes may be out and stay as they are
ALTER TABLE outbox_self ADD COLUMN waiting INTEGER NOT NULL DEFAULT 0; -- bytes of payload above upto
ALTER TABLE outbox_self ADD COLUMN kept INTEGER NOT NULL DEFAULT 0;    -- bytes of payload up to upto
ALTER TABLE outbox_self ADD COLUMN base BLOB;                          -- chain value before floor; NULL: of the first release
ALTER TABLE outbox_self ADD COLUMN mark BLOB;                          -- chain value after upto
ALTER TABLE outbox_self ADD COLUMN fingerprint TEXT NOT NULL DEFAULT '';
UPDATE outbox_self SET floor = upto + 1, sent = next - 1,
    waiting = (SELECT coalesce(sum(length(payload)), 0) FROM outbox);
