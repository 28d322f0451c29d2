"""Begin an action for each folder of a directory that has come to rest."""

from __future__ import annotations

from prov_worker.trigger.watcher import Settled, Watcher

__all__ = ["Settled", "Watcher"]
