-- Which agents may run what, and for how long.
CREATE TABLE agent (
    name TEXT PRIMARY KEY,
    note TEXT NOT NULL
) STRICT;

CREATE TABLE permission (
    agent TEXT NOT NULL REFERENCES agent (name),
    language TEXT NOT NULL CHECK (language IN ('python', 'shell')),
    run_s_max REAL NOT NULL CHECK (run_s_max > 0),
    PRIMARY KEY (agent, language)
) STRICT;

INSERT INTO agent VALUES
    ('guest', 'Whoever does not say who they are.'),
    ('librarian', 'Keeps the knowledge base in order.'),
    ('auditor', 'Reads the record, runs nothing.');

INSERT INTO permission VALUES
    ('guest', 'python', 5.0),
    ('librarian', 'python', 10.0),
    ('librarian', 'shell', 10.0);
