"""The service's state in one SQLite file."""

from __future__ import annotations

import secrets
from pathlib import Path

from prov_worker.localservice.sqlite.choices import ChoiceStore
from prov_worker.localservice.sqlite.database import Database
from prov_worker.localservice.sqlite.endpoints import Endpoints
from prov_worker.localservice.sqlite.flows import FlowStore
from prov_worker.localservice.sqlite.overview import Numbers
from prov_worker.localservice.sqlite.tasks import Tasks
from prov_worker.localservice.sqlite.timers import TimerStore
from prov_worker.localservice.sqlite.transfers import TransferStore


class SqliteStorage(Endpoints, Tasks, Numbers):
    """A :class:`prov_worker.localservice.storage.Storage` in a file.

    Args:
        path: the file; made if it is missing.

    Raises:
        InputError: see :class:`prov_worker.localservice.sqlite.database.Database`.
    """

    def __init__(self, path: Path) -> None:
        self.database = Database(path)

    def signing_key(self) -> bytes:
        """Return key of the service's tokens, made once."""
        with self.database.write() as db:
            db.execute("INSERT OR IGNORE INTO meta VALUES ('signing_key', ?)", (secrets.token_bytes(32),))
            return bytes(db.execute("SELECT value FROM meta WHERE key = 'signing_key'").fetchone()["value"])

    def flow_store(self) -> FlowStore:
        """Return what is durable of flows and their runs."""
        return FlowStore(self.database)

    def transfer_store(self) -> TransferStore:
        """Return what is durable of Transfer's tasks."""
        return TransferStore(self.database)

    def choice_store(self) -> ChoiceStore:
        """Return what is durable of what people are to choose."""
        return ChoiceStore(self.database)

    def timer_store(self) -> TimerStore:
        """Return what is durable of timers."""
        return TimerStore(self.database)

    def ping(self) -> None:
        """Raise if the state cannot be read."""
        self.database.read().execute("SELECT count(*) FROM meta").fetchone()

    def close(self) -> None:
        """Write back and let go."""
        self.database.close()
