"""The software that tasks run in: Python, its distributions, loaded modules, the container, the operating system."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from prov_worker.containers import find_container
from prov_worker.interpreter import own_python
from prov_worker.model import host_name
from prov_worker.probes.base import ProbeContext
from prov_worker.probes.read_files import read_text
from prov_worker.settings import PROBES

_SHELL_PART = re.compile(r"""'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)|([^\s'"\\]+)""")


@dataclass(frozen=True)
class EnvironmentProbe:
    """Software of a worker, as it has noted it, else of the process that takes the probe.

    Data: ``python`` (``version``, ``implementation``, ``executable``, ``prefix``), ``distributions`` (version by name,
    sorted) or None with ``distributions_error``, ``loaded_modules`` (environment modules, in the order of loading),
    ``container`` (``kind``, ``image``) or None, ``kernel``, ``os``, ``hostname``; None if unknown. Environment
    variables are read by name, never as a whole.
    """

    name: str = "environment"
    time_limit_s: float = 30.0

    def take(self, context: ProbeContext) -> dict[str, Any]:
        """See :class:`~prov_worker.probes.base.Probe`."""
        worker = context.process
        unseen = worker.get("unseen")
        modules = context.environ.get("LOADEDMODULES", "")
        return {
            "python": worker.get("python") or own_python(),
            "distributions": None if unseen else distributions(worker.get("path")),
            "distributions_error": unseen,
            "loaded_modules": [module for module in modules.split(":") if module],
            "container": worker["container"] if "container" in worker else _container(context),
            "kernel": read_text(context.proc / "sys/kernel/osrelease") or platform.release(),
            "os": None if unseen else _operating_system(context),
            "hostname": worker.get("host") or host_name(),
        }


def distributions(path: Sequence[str] | None = None) -> dict[str, str]:
    """Return the version of each distribution; of two with one name the first counts, as it does for imports.

    Args:
        path: directories in which they are looked for; None takes those of this interpreter.
    """
    return dict(_distributions(tuple((place, _changed_ns(place)) for place in (sys.path if path is None else path))))


def _changed_ns(place: str) -> int | None:
    """Return when something was installed into a directory, or taken away."""
    try:
        return os.stat(place).st_mtime_ns
    except OSError:
        return None


@functools.lru_cache(maxsize=8)
def _distributions(places: tuple[tuple[str, int | None], ...]) -> dict[str, str]:
    versions: dict[str, str] = {}
    for distribution in metadata.distributions(path=[place for place, _ in places]):
        # Half-removed installations leave directories without metadata, or with broken ones.
        try:
            facts = distribution.metadata
            # Asked first: a missing key is None, a warning or an error, as the version of Python goes.
            if "Name" not in facts or "Version" not in facts:
                continue
            name, version = facts["Name"], facts["Version"]
        except (OSError, KeyError, ValueError, TypeError):
            continue
        if name and version:
            versions.setdefault(name, version)
    return dict(sorted(versions.items(), key=lambda item: item[0].lower()))


def _container(context: ProbeContext) -> dict[str, str | None] | None:
    """Return kind and image of the container that this runs in; None outside of one."""
    container = find_container(context.environ, str(context.etc.parent), str(context.proc))
    return None if container is None else container.to_mapping()


def _operating_system(context: ProbeContext) -> str | None:
    """Return ``PRETTY_NAME`` of os-release(5), of the first of its two files that is there; None if it has none."""
    for path in (context.etc / "os-release", context.etc.parent / "usr/lib/os-release"):
        text = read_text(path)
        if text is not None:
            return os_release(text).get("PRETTY_NAME") or None
    return None


def os_release(text: str) -> dict[str, str]:
    """Return the assignments of an os-release(5) file: shell syntax, without substitutions. The last of a name counts.

    A line that is not an assignment, or whose quotes do not end, is passed over.
    """
    values = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and name.isidentifier():
            with contextlib.suppress(ValueError):
                values[name] = _unquoted(value)
    return values


def _unquoted(value: str) -> str:
    """Return one word of a shell: parts in single, in double and in no quotes (POSIX.1-2017, XCU 2.2)."""
    parts = []
    position = 0
    for match in _SHELL_PART.finditer(value):
        if match.start() != position:
            break
        position = match.end()
        single, double, escaped, plain = match.groups()
        if double is not None:
            double = re.sub(r"\\([$`\"\\])", r"\1", double)
        parts.append(next(part for part in (single, double, escaped, plain) if part is not None))
    if not value[position:][:1].isspace() and position < len(value):
        raise ValueError("quotes do not end")
    return "".join(parts)


PROBES.add("environment", EnvironmentProbe)
