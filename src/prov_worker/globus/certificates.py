"""The directory of an engine's CurveZMQ certificates.

Parsl makes them at each start of an executor (``parsl.curvezmq.create_certificates``), and refuses a directory whose
mode is not 0700; a directory that is there already keeps the mode that it has.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from prov_worker.errors import SettingsError
from prov_worker.spool.paths import private_directory

_SETTINGS_PATH = "engine.encrypted"


def close_certificates(directory: Path) -> None:
    """Make the directory, or close it to others if it is there.

    Raises:
        SettingsError: it cannot be made, is a link or another user's, or its file system keeps no modes.
    """
    try:
        os.makedirs(directory.parent, exist_ok=True)
        closed = private_directory(str(directory)) and stat.S_IMODE(os.lstat(directory).st_mode) & 0o777 == 0o700
    except OSError as error:
        raise SettingsError(_SETTINGS_PATH, f"{directory}: cannot be made: {error.strerror}") from error
    if not closed:
        raise SettingsError(
            _SETTINGS_PATH,
            f"{directory}: cannot be closed to others (mode 0700), as Parsl wants it for its keys; remove it, or move "
            "the endpoint to a file system that keeps modes",
        )
