"""What a service manager may forbid an endpoint's watch and daemon, as far as the site's own commands work under it.

Sources: systemd.exec(5) and systemd.resource-control(5). Of an endpoint without a scheduler the workers are children of
the daemon: tasks would be confined with it, so nothing is. Filters of system calls and ``NoNewPrivileges`` take effect
on programs with the setuid bit: PBS' clients prove who calls by one (``pbs_iff``), and so may runtimes of containers.
``PrivateTmp`` is for units of the system alone: a user's manager may not make name spaces everywhere, and two units of
one user have nothing to hide from each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from prov_worker.sites.catalog import Site

#: Of daemon, watch and Parsl's interchange together; some 400 MB are usual.
MEMORY_BYTES = 4 << 30
TASKS = 2048
_ALWAYS = {"OOMPolicy": "continue"}
_WITHOUT_TASKS = {"LimitCORE": "0", "MemoryMax": str(MEMORY_BYTES), "TasksMax": str(TASKS), "UMask": "0077"}
_WITHOUT_SETUID = {
    "NoNewPrivileges": "yes",
    "LockPersonality": "yes",
    "RestrictRealtime": "yes",
    "RestrictSUIDSGID": "yes",
    "SystemCallArchitectures": "native",
}


def options(site: Site, values: Mapping[str, Any]) -> dict[str, str]:
    """Return the options of a unit's ``[Service]`` section for one endpoint.

    Args:
        site: of the endpoint.
        values: its options, complete.
    """
    scheduler = site.scheduler
    if scheduler is None:
        return dict(_ALWAYS)
    confined = _ALWAYS | _WITHOUT_TASKS
    if not scheduler.setuid_clients and values.get("runtime") != "container":
        confined |= _WITHOUT_SETUID
    return confined


def of_all(endpoints: Iterable[tuple[Site, Mapping[str, Any]]]) -> dict[str, str]:
    """Return the options for a watch of several endpoints: those that each of them bears."""
    each = [options(site, values) for site, values in endpoints]
    return {key: value for key, value in (each[0] if each else {}).items() if all(key in other for other in each)}


def shell_limits(confined: Mapping[str, str]) -> str:
    """Return the commands of a shell that limit what cron and scrontab start, one process at a time.

    Args:
        confined: as of :func:`options`.
    """
    if "MemoryMax" not in confined:
        return ""
    # A lower limit that is set already stays, without a word: cron would send it by mail each time.
    limits = f"ulimit -c 0; ulimit -d {int(confined['MemoryMax']) >> 10}"
    return f"{{ {limits}; }} 2>/dev/null; umask {confined['UMask']};"
