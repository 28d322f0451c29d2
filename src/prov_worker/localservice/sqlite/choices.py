"""What people are to choose, in SQLite."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from typing import Any

from prov_worker.localservice.sqlite.database import Database
from prov_worker.localservice.sqlite.rows import dump, load

OPTION, PAGE = "option", "landing_page"
#: A choice that was taken is kept for so long: what the run goes on with is read again after a restart.
_KEPT_S = 90 * 86_400.0


class ChoiceStore:
    """What is durable of choices; each method is one transaction.

    Args:
        database: of the service.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, action: str, content: Mapping[str, Any]) -> str:
        """Offer a choice, unless it is offered already; returns the end of an address that another one has, if any.

        Args:
            action: whose choice it is.
            content: with ``options`` and ``landing_page``, each with its ``url_suffix``.
        """
        suffixes = [(OPTION, option["url_suffix"]) for option in content["options"]]
        if content["landing_page"]:
            suffixes.append((PAGE, content["landing_page"]["url_suffix"]))
        try:
            with self._database.write() as db:
                if db.execute("SELECT 1 FROM choices WHERE action = ?", (action,)).fetchone() is None:
                    db.execute("DELETE FROM choices WHERE chosen_at < ?", (time.time() - _KEPT_S,))
                    db.execute("INSERT INTO choices (action, content) VALUES (?, ?)", (action, dump(content)))
                    for kind, suffix in suffixes:
                        taken = suffix
                        db.execute("INSERT INTO choice_urls VALUES (?, ?, ?)", (kind, suffix, action))
        except sqlite3.IntegrityError:
            return str(taken)
        return ""

    def chosen(self, action: str) -> dict[str, Any] | None:
        """Return the option that was chosen; None if none was."""
        row = self._database.read().execute("SELECT chosen FROM choices WHERE action = ?", (action,)).fetchone()
        return None if row is None else load(row["chosen"])

    def offered(self, kind: str, suffix: str) -> tuple[str, dict[str, Any]] | None:
        """Return action and content of the choice that has an address now; None if none has."""
        query = (
            "SELECT choices.action, content FROM choices JOIN choice_urls ON choice_urls.action = choices.action"
            " WHERE kind = ? AND suffix = ?"
        )
        row = self._database.read().execute(query, (kind, suffix)).fetchone()
        return None if row is None else (row["action"], load(row["content"]))

    def choose(self, action: str, option: Mapping[str, Any]) -> bool:
        """Take a choice, if none was taken; its addresses lead nowhere from then on."""
        with self._database.write() as db:
            query = "UPDATE choices SET chosen = ?, chosen_at = ? WHERE action = ? AND chosen IS NULL"
            count = db.execute(query, (dump(option), time.time(), action)).rowcount
            db.execute("DELETE FROM choice_urls WHERE action = ?", (action,))
        return bool(count)

    def forget(self, action: str) -> None:
        """Offer a choice no longer."""
        with self._database.write() as db:
            db.execute("DELETE FROM choices WHERE action = ?", (action,))
