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
    # What each identity has, kept by triggers: a sum over all tasks would take too long for each submission.
    """
    ALTER TABLE tasks ADD COLUMN size INTEGER NOT NULL DEFAULT 0;
    UPDATE tasks SET size = coalesce(length(message), length(payload), 0);
    CREATE INDEX groups_of_owner ON groups (owner);
    CREATE INDEX user_endpoints_of_owner ON user_endpoints (owner);

    CREATE TABLE usage (
        owner TEXT PRIMARY KEY,
        functions INTEGER NOT NULL DEFAULT 0,
        tasks INTEGER NOT NULL DEFAULT 0,
        bytes INTEGER NOT NULL DEFAULT 0
    );
    INSERT INTO usage (owner, functions, tasks, bytes)
        SELECT owner, sum(functions), sum(tasks), sum(bytes) FROM (
            SELECT owner, 1 AS functions, 0 AS tasks, length(buffer) AS bytes FROM functions
            UNION ALL SELECT owner, 0, state < 2, size FROM tasks
        ) GROUP BY owner;

    CREATE TRIGGER function_added AFTER INSERT ON functions BEGIN
        INSERT INTO usage (owner, functions, bytes) VALUES (NEW.owner, 1, length(NEW.buffer))
            ON CONFLICT (owner) DO UPDATE SET functions = functions + 1, bytes = bytes + excluded.bytes;
    END;
    CREATE TRIGGER function_removed AFTER DELETE ON functions BEGIN
        UPDATE usage SET functions = functions - 1, bytes = bytes - length(OLD.buffer) WHERE owner = OLD.owner;
    END;
    CREATE TRIGGER task_added AFTER INSERT ON tasks BEGIN
        INSERT INTO usage (owner, tasks, bytes) VALUES (NEW.owner, NEW.state < 2, NEW.size)
            ON CONFLICT (owner) DO UPDATE SET tasks = tasks + excluded.tasks, bytes = bytes + excluded.bytes;
    END;
    CREATE TRIGGER task_changed AFTER UPDATE OF state, size ON tasks BEGIN
        UPDATE usage SET tasks = tasks + (NEW.state < 2) - (OLD.state < 2), bytes = bytes + NEW.size - OLD.size
            WHERE owner = NEW.owner;
    END;
    CREATE TRIGGER task_removed AFTER DELETE ON tasks BEGIN
        UPDATE usage SET tasks = tasks - (OLD.state < 2), bytes = bytes - OLD.size WHERE owner = OLD.owner;
    END;
    """,
    # How often a task has been sent again.
    "ALTER TABLE tasks ADD COLUMN resent INTEGER NOT NULL DEFAULT 0",
    """
    CREATE TABLE flows (
        id TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        created REAL NOT NULL,
        updated REAL NOT NULL,
        content TEXT NOT NULL
    );
    CREATE TABLE consents (owner TEXT NOT NULL, scope TEXT NOT NULL, PRIMARY KEY (owner, scope));
    CREATE TABLE runs (
        id TEXT PRIMARY KEY,
        flow TEXT NOT NULL,
        owner TEXT NOT NULL,
        started REAL NOT NULL,
        ended REAL,
        status TEXT NOT NULL,
        content TEXT NOT NULL,
        state TEXT NOT NULL,
        position TEXT NOT NULL,
        details TEXT NOT NULL,
        wake REAL NOT NULL,
        turn INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX runs_under_way ON runs (wake) WHERE status = 'ACTIVE';
    CREATE TABLE run_log (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        time REAL NOT NULL,
        code TEXT NOT NULL,
        description TEXT NOT NULL,
        details TEXT NOT NULL
    );
    CREATE INDEX log_of_run ON run_log (run, seq);
    """,
    """
    CREATE TABLE logins (owner TEXT NOT NULL, flow TEXT NOT NULL, time REAL NOT NULL, PRIMARY KEY (owner, flow));
    CREATE TABLE transfer_tasks (
        id TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        submission TEXT NOT NULL,
        kind TEXT NOT NULL,
        status TEXT NOT NULL,
        requested REAL NOT NULL,
        deadline REAL NOT NULL,
        completed REAL,
        body TEXT NOT NULL,
        progress TEXT NOT NULL,
        UNIQUE (owner, submission)
    );
    CREATE INDEX transfer_tasks_under_way ON transfer_tasks (requested) WHERE status = 'ACTIVE';
    CREATE TABLE transfer_events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        task TEXT NOT NULL REFERENCES transfer_tasks (id) ON DELETE CASCADE,
        time REAL NOT NULL,
        code TEXT NOT NULL,
        description TEXT NOT NULL,
        details TEXT NOT NULL,
        is_error INTEGER NOT NULL
    );
    CREATE INDEX events_of_transfer ON transfer_events (task, seq);
    CREATE TABLE transfer_files (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        task TEXT NOT NULL REFERENCES transfer_tasks (id) ON DELETE CASCADE,
        source_path TEXT NOT NULL,
        destination_path TEXT NOT NULL,
        size INTEGER NOT NULL,
        error_code TEXT NOT NULL
    );
    CREATE INDEX files_of_transfer ON transfer_files (task, seq);
    CREATE TABLE choices (action TEXT PRIMARY KEY, content TEXT NOT NULL, chosen TEXT, chosen_at REAL);
    CREATE TABLE choice_urls (
        kind TEXT NOT NULL,
        suffix TEXT NOT NULL,
        action TEXT NOT NULL REFERENCES choices (action) ON DELETE CASCADE,
        PRIMARY KEY (kind, suffix)
    );
    CREATE INDEX urls_of_choice ON choice_urls (action);
    CREATE TABLE timers (
        id TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        submitted REAL NOT NULL,
        status TEXT NOT NULL,
        wake REAL,
        content TEXT NOT NULL,
        turn INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX timers_due ON timers (wake) WHERE wake IS NOT NULL;
    """,
)
