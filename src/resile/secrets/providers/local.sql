-- One row: whose key this is, and a code over the codes of all names.
CREATE TABLE head (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    store_id BLOB NOT NULL,
    -- What a passphrase is mixed with; empty if the master key is a key.
    salt BLOB NOT NULL,
    -- Made from the master key: tells whether another one is the right one.
    key_check BLOB NOT NULL,
    -- SHA-256 of the three before, for whoever has no key: a damaged head is no wrong key.
    checksum BLOB NOT NULL,
    mac BLOB NOT NULL
) STRICT;

CREATE TABLE names (
    name TEXT PRIMARY KEY,
    -- The highest number ever given, so that none is given twice.
    last INTEGER NOT NULL,
    -- Over all rows of the name in `versions`, but for the sealed values.
    mac BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE versions (
    name TEXT NOT NULL,
    number INTEGER NOT NULL,
    stage TEXT NOT NULL,
    created_at TEXT NOT NULL,
    token TEXT NOT NULL,
    -- The version's own key, wrapped with the master key; NULL once it is retired.
    sealed_key BLOB,
    -- The value, sealed with that key.
    sealed_value BLOB,
    PRIMARY KEY (name, number)
) STRICT, WITHOUT ROWID;
