"""Logging of the recorder's own errors, which never reach the task."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from prov_worker.interruptions import is_own

# One logger for all of the recorder, whatever module an error comes from.
log = logging.getLogger("prov_worker.recorder.recorder")

_MAX_LOGGED = 3
_logged: dict[str, int] = {}


def log_internal_error(where: str) -> None:
    """Log the error that is being handled, a few times for each place: a task must not drown in them either."""
    count = _logged[where] = _logged.get(where, 0) + 1
    if count <= _MAX_LOGGED:
        try:
            log.warning("recording: %s failed; the task is not affected", where, exc_info=True)
        except Exception as error:  # a logging handler of the task's own
            if not is_own(error):
                raise


def guarded(where: str, call: Callable[..., None], *args: Any) -> None:
    """Call a part of the recorder; an error of its own is logged, and one of the user's passes on."""
    try:
        call(*args)
    except Exception as error:
        if not is_own(error):
            raise
        log_internal_error(where)
