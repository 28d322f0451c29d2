"""The client's id and secret, and other variables of daemons: from a file that is closed to others.

They go into the environment of the daemons and nowhere else.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from prov_worker.errors import InputError
from prov_worker.files import read_private

ID, SECRET = "GLOBUS_COMPUTE_CLIENT_ID", "GLOBUS_COMPUTE_CLIENT_SECRET"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: Set by the fleet for every daemon.
_OWN = ("PATH", "GLOBUS_COMPUTE_USER_DIR")


def read(path: Path) -> dict[str, str]:
    """Return variables of a file of ``NAME=VALUE`` lines, as a shell reads them; ``export`` may stand before.

    Raises:
        InputError: it cannot be read, is open to others, or has a line or a name that does not belong there. No value
            is in the message.
    """
    lines = read_private(path, "credentials").splitlines()
    values: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        try:
            fields = shlex.split(line, comments=True)
        except ValueError:
            raise InputError(f"{path}: line {number}: a quote is not closed") from None
        for word in fields[1:] if fields[:1] == ["export"] else fields:
            name, equals, value = word.partition("=")
            if not equals or not _NAME.fullmatch(name):
                raise InputError(f"{path}: line {number}: expected NAME=VALUE")
            if name in _OWN:
                raise InputError(f"{path}: line {number}: {name}: the fleet sets it")
            values[name] = value
    if not values:
        raise InputError(
            f"{path}: holds no credentials; expected GLOBUS_COMPUTE_CLIENT_ID=… and GLOBUS_COMPUTE_CLIENT_SECRET=…"
        )
    return values


def missing(environ: Mapping[str, str]) -> str | None:
    """Return which of id and secret is not set while the other is; None if both or none are.

    An id alone is one to log in with as a person: the daemon says then that nobody has.
    """
    unset = [name for name in (ID, SECRET) if not environ.get(name)]
    return unset[0] if len(unset) == 1 else None


def half(unset: str) -> str:
    """Return a text on what :func:`missing` gave."""
    return f"{unset} is not set, and {ID if unset == SECRET else SECRET} is"


def refusal(path: Path | None) -> str | None:
    """Return why no daemon could be started with a credentials file; None if it is good, or there is none."""
    try:
        environment(path, Path(), Path())
    except InputError as error:
        return str(error)
    return None


def environment(path: Path | None, user_dir: Path, programs: Path) -> Mapping[str, str]:
    """Return the environment of a daemon: this one, what the credentials file says over it, and where its files are.

    Args:
        path: of the credentials; None if there are none.
        user_dir: Globus Compute's directory.
        programs: directory of ``globus-compute-endpoint``, which goes first in PATH.

    Raises:
        InputError: as :func:`read`; id or secret is in neither place.
    """
    path_entries = [entry for entry in os.environ.get("PATH", os.defpath).split(os.pathsep) if entry != str(programs)]
    variables = {**os.environ, **(read(path) if path else {})}
    # A user endpoint would take these for its own, if the fleet is started from within one.
    for name in ("GLOBUS_COMPUTE_ENDPOINT_DIR", "GLOBUS_COMPUTE_LOG_PATH", "GLOBUS_COMPUTE_ENDPOINT_NAME"):
        variables.pop(name, None)
    variables.pop("NOTIFY_SOCKET", None)  # of the watch, if systemd runs it
    if path is not None and (unset := missing(variables)) is not None:
        raise InputError(f"{path}: {half(unset)}")
    variables["PATH"] = os.pathsep.join([str(programs), *path_entries])
    variables["GLOBUS_COMPUTE_USER_DIR"] = str(user_dir)
    return variables
