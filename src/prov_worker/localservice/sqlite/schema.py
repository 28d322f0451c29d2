"""The tables, and how one version of them becomes the next."""

from __future__ import annotations

#: Each entry brings a database from the version of its index to the next; ``PRAGMA user_version`` says where it stands.
MIGRATIONS = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL);
    CREATE TABLE revocations (token TEXT PRIMARY KEY, expires REAL NOT NULL);

    CREATE TABLE endpoints (
        id TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        name TEXT NOT NULL,
        registered REAL NOT NULL,
        registration TEXT NOT NULL,
        locked INTEGER NOT NULL DEFAULT 0,
        heard REAL NOT NULL DEFAULT 0,
        period_s REAL NOT NULL DEFAULT 0,
        report TEXT NOT NULL DEFAULT '{}'
    );
    CREATE INDEX endpoints_of_owner ON endpoints (owner);

    CREATE TABLE user_endpoints (
        id TEXT PRIMARY KEY,
        core TEXT NOT NULL REFERENCES endpoints (id) ON DELETE CASCADE,
        owner TEXT NOT NULL,
        options TEXT NOT NULL,
        runtime TEXT NOT NULL,
        started REAL NOT NULL DEFAULT 0,
        heard REAL NOT NULL DEFAULT 0,
        period_s REAL NOT NULL DEFAULT 0,
        report TEXT NOT NULL DEFAULT '{}'
    );
    CREATE INDEX user_endpoints_of_core ON user_endpoints (core);

    CREATE TABLE functions (
        id TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        name TEXT NOT NULL,
        buffer TEXT NOT NULL,
        registered REAL NOT NULL,
        description TEXT,
        meta TEXT,
        public INTEGER NOT NULL DEFAULT 0,
        deleted INTEGER NOT NULL DEFAULT 0
    );

    CREATE TABLE groups (
        id TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        queue INTEGER NOT NULL,
        touched REAL NOT NULL
    );

    CREATE TABLE tasks (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        owner TEXT NOT NULL,
        user_endpoint TEXT NOT NULL,
        function TEXT NOT NULL,
        grp TEXT NOT NULL,
        payload TEXT,
        resource_specification TEXT,
        result_serializers TEXT,
        submitted REAL NOT NULL,
        state INTEGER NOT NULL DEFAULT 0,
        finished REAL,
        message BLOB,
        forward INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX tasks_unfinished ON tasks (user_endpoint, seq) WHERE state < 2;
    CREATE INDEX tasks_accepted ON tasks (seq) WHERE state = 0;
    CREATE INDEX tasks_to_forward ON tasks (seq) WHERE forward = 1;
    CREATE INDEX tasks_of_group ON tasks (grp);
    CREATE INDEX tasks_of_owner ON tasks (owner, finished);
    CREATE INDEX tasks_by_state ON tasks (owner, state, user_endpoint);
    CREATE INDEX tasks_finished ON tasks (finished) WHERE state >= 2;
    CREATE INDEX tasks_of_function ON tasks (function);
    """,
)
