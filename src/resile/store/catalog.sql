CREATE TABLE packs (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    size INTEGER NOT NULL
) STRICT;

CREATE TABLE frames (
    pack INTEGER NOT NULL,
    number INTEGER NOT NULL,
    start INTEGER NOT NULL,
    stored INTEGER NOT NULL,
    raw INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    coding INTEGER NOT NULL,
    PRIMARY KEY (pack, number)
) STRICT, WITHOUT ROWID;

-- A blob may stand in several packs: two machines stored it at the same time.
CREATE TABLE blobs (
    id BLOB NOT NULL,
    pack INTEGER NOT NULL,
    frame INTEGER NOT NULL,
    start INTEGER NOT NULL,
    length INTEGER NOT NULL,
    PRIMARY KEY (id, pack, frame, start)
) STRICT, WITHOUT ROWID;

CREATE INDEX blobs_of_a_pack ON blobs (pack);

-- The file as it lies in the store is kept, too: a damaged one can be mended from here.
CREATE TABLE snapshots (
    name TEXT PRIMARY KEY,
    record BLOB NOT NULL,
    file BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- What a folder looked like when it was read last: only what looks otherwise is read again.
CREATE TABLE folders (
    source TEXT NOT NULL,
    path BLOB NOT NULL,
    digest BLOB NOT NULL,
    tree BLOB NOT NULL,
    files INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (source, path)
) STRICT, WITHOUT ROWID;

-- The snapshot from which that is: where it is forgotten, nothing that it needed can be relied on.
-- It is in doubt when a pack has gone that nobody here has removed.
CREATE TABLE sources (
    source TEXT PRIMARY KEY,
    snapshot TEXT NOT NULL,
    is_in_doubt INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX unsure_folders ON folders (source) WHERE digest = x'';

CREATE TABLE facts (
    source TEXT NOT NULL,
    path BLOB NOT NULL,
    facts BLOB NOT NULL,
    PRIMARY KEY (source, path)
) STRICT, WITHOUT ROWID;
