"""Endpoints, user endpoints and functions in SQLite."""

from __future__ import annotations

import time

from prov_worker.localservice.records import Endpoint, Function, UserEndpoint
from prov_worker.localservice.sqlite import rows
from prov_worker.localservice.sqlite.database import Database

#: Deleted functions that no task under way needs any more.
DELETE_UNUSED = (
    "DELETE FROM functions WHERE deleted"
    " AND NOT EXISTS (SELECT 1 FROM tasks WHERE function = functions.id AND state < 2)"
)


class Endpoints:
    """See :class:`prov_worker.localservice.storage.EndpointStore` and ``FunctionStore``."""

    database: Database

    def save_endpoint(self, endpoint: Endpoint) -> None:
        """Register, or register again."""
        with self.database.write() as db:
            db.execute(
                "INSERT INTO endpoints (id, owner, name, registered, registration) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET name = excluded.name, registration = excluded.registration,"
                " locked = 0, heard = 0, period_s = 0, report = '{}'",
                (endpoint.id, endpoint.owner, endpoint.name, endpoint.registered, rows.dump(endpoint.registration)),
            )

    def endpoint(self, endpoint_id: str) -> Endpoint | None:
        """Return an endpoint of anyone."""
        row = self.database.read().execute("SELECT * FROM endpoints WHERE id = ?", (endpoint_id,)).fetchone()
        return None if row is None else rows.endpoint(row)

    def endpoints(self, owner: str) -> list[Endpoint]:
        """Return all endpoints of an identity."""
        cursor = self.database.read().execute("SELECT * FROM endpoints WHERE owner = ? ORDER BY registered", (owner,))
        return [rows.endpoint(row) for row in cursor]

    def all_endpoints(self) -> list[Endpoint]:
        """Return endpoints of everyone."""
        return [rows.endpoint(row) for row in self.database.read().execute("SELECT * FROM endpoints")]

    def delete_endpoint(self, endpoint_id: str) -> None:
        """Forget an endpoint and its user endpoints."""
        with self.database.write() as db:
            db.execute("DELETE FROM endpoints WHERE id = ?", (endpoint_id,))

    def lock_endpoint(self, endpoint_id: str) -> None:
        """Mark as asked to stop."""
        with self.database.write() as db:
            db.execute("UPDATE endpoints SET locked = 1, period_s = 0 WHERE id = ?", (endpoint_id,))

    def save_user_endpoint(self, user_endpoint: UserEndpoint) -> None:
        """Keep a user endpoint."""
        row = (
            self.database.read()
            .execute("SELECT runtime FROM user_endpoints WHERE id = ?", (user_endpoint.id,))
            .fetchone()
        )
        runtime = rows.dump(user_endpoint.runtime)
        if row is not None and row["runtime"] == runtime:
            return
        with self.database.write() as db:
            db.execute(
                "INSERT INTO user_endpoints (id, core, owner, options, runtime) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET runtime = excluded.runtime",
                (user_endpoint.id, user_endpoint.core, user_endpoint.owner, rows.dump(user_endpoint.options), runtime),
            )

    def user_endpoint(self, user_endpoint_id: str) -> UserEndpoint | None:
        """Return a user endpoint of anyone."""
        row = self.database.read().execute("SELECT * FROM user_endpoints WHERE id = ?", (user_endpoint_id,)).fetchone()
        return None if row is None else rows.user_endpoint(row)

    def user_endpoints(self, core: str) -> list[UserEndpoint]:
        """Return all user endpoints of a core endpoint."""
        cursor = self.database.read().execute("SELECT * FROM user_endpoints WHERE core = ? ORDER BY id", (core,))
        return [rows.user_endpoint(row) for row in cursor]

    def mark_started(self, user_endpoint_id: str, when: float) -> None:
        """Note a start command."""
        with self.database.write() as db:
            db.execute("UPDATE user_endpoints SET started = ? WHERE id = ?", (when, user_endpoint_id))

    def save_function(self, function: Function) -> None:
        """Keep a function."""
        with self.database.write() as db:
            db.execute(
                "INSERT INTO functions (id, owner, name, buffer, registered, description, meta, public)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    function.id,
                    function.owner,
                    function.name,
                    function.buffer,
                    function.registered,
                    function.description,
                    None if function.meta is None else rows.dump(function.meta),
                    function.public,
                ),
            )

    def function(self, function_id: str) -> Function | None:
        """Return a function of anyone that is not deleted."""
        row = (
            self.database.read()
            .execute("SELECT * FROM functions WHERE id = ? AND NOT deleted", (function_id,))
            .fetchone()
        )
        return None if row is None else rows.function(row)

    def delete_function(self, function_id: str) -> None:
        """Hide a function."""
        with self.database.write() as db:
            db.execute("UPDATE functions SET deleted = 1 WHERE id = ?", (function_id,))
            db.execute(DELETE_UNUSED)

    def revoke(self, token_id: str, expires: float) -> None:
        """Remember a token as void."""
        with self.database.write() as db:
            db.execute("DELETE FROM revocations WHERE expires < ?", (time.time(),))
            db.execute("INSERT OR REPLACE INTO revocations VALUES (?, ?)", (token_id, expires))

    def revoked(self, token_id: str) -> bool:
        """Return whether a token was revoked."""
        cursor = self.database.read().execute("SELECT 1 FROM revocations WHERE token = ?", (token_id,))
        return cursor.fetchone() is not None
