"""The interpreter that a process runs in."""

from __future__ import annotations

import os
import platform
import sys


def own_python() -> dict[str, str]:
    """Return ``version``, ``implementation``, ``executable`` and ``prefix`` of this process's interpreter."""
    return {
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "executable": sys.executable,
        "prefix": _prefix(),
    }


def _prefix() -> str:
    """Return directory of the environment: ``sys.prefix``, which an interpreter started with ``-S`` has not looked up.

    Until Python 3.13 it is the module ``site`` that finds a virtual environment: by ``pyvenv.cfg`` in the directory of
    the executable or in that above it (PEP 405).
    """
    if sys.prefix == sys.base_prefix and sys.executable:
        directory = os.path.dirname(os.path.abspath(sys.executable))
        above = os.path.dirname(directory)
        if any(os.path.isfile(os.path.join(place, "pyvenv.cfg")) for place in (directory, above)):
            return above
    return sys.prefix
