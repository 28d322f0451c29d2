"""The shape of a probe: what it is given, and what it gives.

A probe looks at one kind of hardware, once a node. The roots of ``/proc``, ``/sys`` and ``/etc`` are parameters, so
that a captured or described node can be probed, and so that a host's file systems can be mounted elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from prov_worker.probes.command import run_command
from prov_worker.probes.errors import NoData, ProbeError

__all__ = ["NoData", "Probe", "ProbeContext", "ProbeError"]


@dataclass(frozen=True)
class ProbeContext:
    """Where a probe looks.

    Attributes:
        proc, sys, etc: roots of the process file system, of sysfs and of the configuration. Libraries that know the
            running machine only (NVML, psutil) are asked only while these are its own; ``command`` always speaks of
            the running machine unless it is replaced.
        mount_points: paths whose storage is described.
        environ: environment variables; probes ask for names they know and never walk through it.
        command: runs a program: arguments and time limit in seconds to its standard output.
        process: what a worker has noted of itself (:func:`prov_worker.recorder.worker_info.process_facts`), and its
            ``host``, if the report is about that worker and not about this process; empty else. ``unseen`` says why
            this process does not see the worker's files, if it does not.
        libraries: bindings that are used in place of those that would be imported, by name of the module.
    """

    proc: Path = Path("/proc")
    sys: Path = Path("/sys")
    etc: Path = Path("/etc")
    mount_points: tuple[str, ...] = ()
    # Left out of the representation: it holds secrets, and a context may be logged.
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    command: Callable[[Sequence[str], float], str] = run_command
    process: Mapping[str, Any] = field(default_factory=dict)
    libraries: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_this_machine(self) -> bool:
        """Whether ``proc`` and ``sys`` are the running machine's own."""
        return self.proc == Path("/proc") and self.sys == Path("/sys")


class Probe(Protocol):
    """One kind of hardware.

    Attributes:
        name: key in the registry and in the snapshot.
        time_limit_s: seconds after which the probe is given up.
    """

    name: str
    time_limit_s: float

    def take(self, context: ProbeContext) -> dict[str, Any]:
        """Look once and return plain JSON data.

        Raises:
            NoData: the hardware, or what would tell of it, is not here.
            ProbeError: it should be here but cannot be read.
        """
        ...
