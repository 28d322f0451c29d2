"""The hardware report of a task: its node, and the job and environment of its own worker.

One agent serves several jobs and environments of a node. What the node is made of is probed once; the limits of control
groups, the facts of the job and the software are those of the worker, as it noted them when its first task came.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
from collections.abc import Callable
from typing import Any

from prov_worker import schedulers
from prov_worker.agent.software_bill import bill_of_materials, keep_bill
from prov_worker.containers import find_container
from prov_worker.files import write_file
from prov_worker.model import HardwareSnapshot, ProbeReport, host_name
from prov_worker.settings import PROBES, Settings
from prov_worker.spool.own_files import make_private, read_own
from prov_worker.spool.paths import places_here, spool_dir

log = logging.getLogger(__name__)

#: Probes whose answer is that of a worker and not of a node.
_OF_A_WORKER = ("environment", "scheduler")
#: Reports of jobs that are kept with that of the node, for whoever finishes its records elsewhere.
_MAX_KEPT = 16
_MAX_WRITTEN = 256
_GONE = "the control group of the job is gone"
#: What probes of the node tell of control groups.
_LIMITS = {"cpu": ("cgroup_cpu_limit",), "memory": ("cgroup_limit_bytes", "cgroup")}
_UNSEEN_GPUS = "the agent runs in another job of the node, whose GPUs may be others"
_NOTHING_NOTED = "the worker noted nothing of its job"
_ELSEWHERE = "this report was not made on the node"

_Reports = dict[str, ProbeReport]


def _nvidia_gpus_of_node() -> int:
    try:
        return len(os.listdir("/proc/driver/nvidia/gpus"))
    except OSError:
        return 0


def process_key(process: dict[str, Any]) -> str:
    """Return what is equal for workers of one job and environment."""
    lasting = {name: value for name, value in process.items() if name != "noted_ns"}
    return hashlib.sha256(json.dumps(lasting, sort_keys=True).encode()).hexdigest()[:16]


class Hardware:
    """Hardware reports for the crates of one directory.

    Args:
        crate_dir: the directory.
        take: whether to probe this node for executions that ran on it; else what the node's agent had saved is used.
        gpus_of_node: counts NVIDIA's GPUs of the node, whoever may use them.
    """

    def __init__(
        self, crate_dir: str, take: bool = True, gpus_of_node: Callable[[], int] = _nvidia_gpus_of_node
    ) -> None:
        self._crate_dir = crate_dir
        self._gpus_of_node = gpus_of_node
        self._take = take
        self._nodes: dict[tuple[str, tuple[str, ...], tuple[str, ...] | None], HardwareSnapshot] = {}
        self._workers: dict[tuple[str, str, int | None, tuple[str, ...] | None], _Reports] = {}

    def gpus_unseen(self, host: str, process: dict[str, Any], settings: Settings, place: str = "") -> str | None:
        """Return why the GPUs that this agent sees may not be those of a worker; None if they are.

        A device cgroup hides the devices of other jobs (Slurm's ``ConstrainDevices``), and an agent is in the job of
        the worker that started it.
        """
        if not self._is_here(host, place):
            return None
        job = process.get("job") or {}
        if schedulers.job_id(job) == schedulers.job_id(os.environ):
            return None
        devices = self._node(f"{host}~{place}" if place else host, settings, True).data("gpu").get("devices", [])
        listed = sum(device["vendor"] == "nvidia" and not device["mig"] for device in devices)
        # The driver's directory has all of the node, also those that a control group denies.
        return _UNSEEN_GPUS if listed < self._gpus_of_node() else None

    def snapshot(self, host: str, process: dict[str, Any], settings: Settings, place: str = "") -> HardwareSnapshot:
        """Return the report for tasks of one worker.

        Args:
            host: where it ran.
            process: what it noted of itself; empty if nothing is known.
            settings: ``probes`` and ``mount_points`` are used.
            place: of the worker; empty if it is not known, and its host's name has to do.
        """
        here = self._is_here(host, place)
        name = f"{host}~{place}" if place else host
        node = self._node(name, settings, here)
        # Each worker's own: what was installed after it began is not what it runs.
        key = (name, process_key(process), process.get("noted_ns"), settings.probes)
        reports = self._workers.get(key)
        if reports is None:
            if len(self._workers) >= _MAX_WRITTEN:
                self._workers.clear()
            reports = self._workers[key] = self._of_worker(host, place, process, settings, node, here)
        probes = {name: reports.get(name, report) for name, report in node.probes.items()}
        return HardwareSnapshot(node.host, node.taken_ns, probes)

    def _node(self, host: str, settings: Settings, here: bool) -> HardwareSnapshot:
        key = (host, settings.mount_points, settings.probes)
        snapshot = self._nodes.get(key)
        if snapshot is None:
            if here:
                snapshot = self._probe(settings)
                self._save(host, snapshot, {})
            else:
                snapshot = _load(self._saved(host), host.partition("~")[0])
            self._nodes[key] = snapshot
        return snapshot

    def _probe(self, settings: Settings) -> HardwareSnapshot:
        from prov_worker.probes import ProbeContext, take_all

        return take_all(settings.probes, ProbeContext(mount_points=settings.mount_points or (self._crate_dir,)))

    def _of_worker(
        self, host: str, place: str, process: dict[str, Any], settings: Settings, node: HardwareSnapshot, here: bool
    ) -> _Reports:
        """Return reports that replace those of the node."""
        name = f"{host}~{place}" if place else host
        if not process:
            return _unknown(node)
        if not here or _is_over(process):
            # An agent that came before, and died, may have seen the job while it ran.
            kept = _read_kept(self._saved(name)).get(process_key(process))
            if kept is not None:
                return kept
        reports = _worker_reports(host, process, settings, node, here)
        self._keep_bill(reports, process)
        unseen = self.gpus_unseen(host, process, settings, place)
        if unseen is not None and "gpu" in node.probes:
            reports["gpu"] = dataclasses.replace(node.probes["gpu"], data={}, error=None, absent=unseen)
        if here:
            self._save(name, node, {process_key(process): reports})
        return reports

    def _keep_bill(self, reports: _Reports, process: dict[str, Any]) -> None:
        """Write the bill of materials of a worker's environment beside the crates, and name it in the report."""
        software = reports.get("environment")
        if software is None or not software.data.get("distributions"):
            return
        try:
            digest = keep_bill(self._crate_dir, bill_of_materials(software.data, process.get("path")))
        except (OSError, ValueError, TypeError, AttributeError) as error:
            log.warning("the bill of materials of an environment could not be kept: %s", error)
        else:
            reports["environment"] = dataclasses.replace(software, data={**software.data, "software_bill": digest})

    def _is_here(self, host: str, place: str) -> bool:
        """Return whether this node can be asked: it is the worker's own."""
        return self._take and (place in places_here() if place else host == host_name())

    def _saved(self, host: str) -> str:
        return os.path.join(spool_dir(self._crate_dir), f"{host}.hardware.json")

    def _save(self, host: str, snapshot: HardwareSnapshot, workers: dict[str, _Reports]) -> None:
        """Keep reports for those who finish this node's records elsewhere."""
        path = self._saved(host)
        kept = _read_kept(path)
        if workers and workers.keys() <= kept.keys():
            return  # another worker of a job and environment that are kept
        kept |= workers
        recent = list(kept.items())[-_MAX_KEPT:]
        text = {key: {name: dataclasses.asdict(report) for name, report in reports.items()} for key, reports in recent}
        try:
            os.makedirs(self._crate_dir, exist_ok=True)
            make_private(os.path.dirname(path))
            write_file(path, json.dumps({**snapshot.to_dict(), "workers": text}), mode=0o600)
        except (OSError, ValueError) as error:
            log.warning("the node's hardware report could not be kept: %s", error)


def _worker_reports(
    host: str, process: dict[str, Any], settings: Settings, node: HardwareSnapshot, here: bool
) -> _Reports:
    from prov_worker.probes import ProbeContext, take_all
    from prov_worker.probes.cgroup import cpu_limit, is_gone, memory_limit

    unseen = None if here else _ELSEWHERE
    if here and "container" in process and process["container"] != _own_container():
        unseen = "the worker ran in another container than its agent"
    job = process.get("job") or {}
    context = ProbeContext(environ=job, process={**process, "host": host, "unseen": unseen})
    names = PROBES.default_names() if settings.probes is None else settings.probes
    reports = take_all([name for name in _OF_A_WORKER if name in names], context).probes
    software = reports.get("environment")
    if software is not None and not here:
        noted = {name: node.data("environment").get(name) for name in ("kernel", "os")}
        reports["environment"] = dataclasses.replace(software, data={**software.data, **noted})
    problem = _ELSEWHERE if not here else _GONE if is_gone(context) else None
    version, limit_bytes = memory_limit(context) if problem is None else (None, None)
    limits: dict[str, dict[str, Any]] = {
        "cpu": {"cgroup_cpu_limit": cpu_limit(context) if problem is None else None},
        "memory": {"cgroup_limit_bytes": limit_bytes, "cgroup": version},
    }
    for name, data in limits.items():
        report = node.probes.get(name)
        if report is not None and report.data:
            reports[name] = dataclasses.replace(report, data={**report.data, **data, "cgroup_error": problem})
    return reports


def _is_over(process: dict[str, Any]) -> bool:
    from prov_worker.probes import ProbeContext
    from prov_worker.probes.cgroup import is_gone

    return is_gone(ProbeContext(process=process))


def _own_container() -> dict[str, str | None] | None:
    container = find_container(os.environ)
    return None if container is None else container.to_mapping()


def _unknown(node: HardwareSnapshot) -> _Reports:
    """Return reports of a worker that noted nothing of itself: what the agent sees may be another job's."""
    reports = {}
    for name, report in node.probes.items():
        if name in _OF_A_WORKER:
            reports[name] = dataclasses.replace(report, data={}, error=None, absent=_NOTHING_NOTED)
        elif name in _LIMITS and report.data:
            limits = {**dict.fromkeys(_LIMITS[name]), "cgroup_error": _NOTHING_NOTED}
            reports[name] = dataclasses.replace(report, data={**report.data, **limits})
    return reports


def _read_kept(path: str) -> dict[str, _Reports]:
    try:
        workers = json.loads(read_own(path)).get("workers", {})
        return {
            key: {name: ProbeReport(**report) for name, report in reports.items()} for key, reports in workers.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _load(path: str, host: str) -> HardwareSnapshot:
    try:
        return HardwareSnapshot.from_dict(json.loads(read_own(path)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.info("no hardware report of %s: %s", host, error)
        return HardwareSnapshot(host=host, taken_ns=0)
