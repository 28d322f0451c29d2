"""What an engine waits for beside its tasks: looked at now and then, in one thread that lives while there is some."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

_log = logging.getLogger(__name__)

#: How often each is looked at.
_LOOK_S = 0.2
T = TypeVar("T")


class WaitingList(Generic[T]):
    """Things that wait.

    Args:
        name: of the thread.
        look: sees what has come of one, and returns whether that is all; its error is all, too.
        end: called with each once that is all.
    """

    def __init__(self, name: str, look: Callable[[T], bool], end: Callable[[T], None]) -> None:
        self._name = name
        self._look = look
        self._end = end
        self._lock = threading.Lock()
        self._items: list[T] = []
        self._thread: threading.Thread | None = None

    def add(self, item: T) -> None:
        """Have something looked at from now on."""
        with self._lock:
            self._items.append(item)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            with self._lock:
                items = list(self._items)
                if not items:
                    self._thread = None
                    return
            for item in items:
                try:
                    over = self._look(item)
                except Exception:
                    _log.exception("%s: cannot look any more", self._name)
                    over = True
                if over:
                    try:
                        self._end(item)
                    except Exception:  # the engine was shut down meanwhile
                        _log.debug("%s: nobody waits any more", self._name, exc_info=True)
                    with self._lock:
                        self._items.remove(item)
            time.sleep(_LOOK_S)
