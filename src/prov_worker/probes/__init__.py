"""Hardware probes: what a node is made of, taken once per node by the agent and shared by all tasks that ran there.

One file per probe in :mod:`prov_worker.probes.node`, all of one shape (:mod:`prov_worker.probes.base`); each can say
that its hardware is not here. A probe that fails or hangs is reported as failed and harms no other.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any

from prov_worker.model import HardwareSnapshot, ProbeReport, host_name
from prov_worker.probes.base import NoData, Probe, ProbeContext, ProbeError
from prov_worker.probes.timeouts import Pending
from prov_worker.settings import PROBES

__all__ = ["PROBES", "NoData", "Probe", "ProbeContext", "ProbeError", "take_all"]

_MAX_MESSAGE_CHARS = 500


def take_all(names: Iterable[str] | None = None, context: ProbeContext | None = None) -> HardwareSnapshot:
    """Run probes at the same time, each under its own limit, and collect their reports.

    Args:
        names: of probes in :data:`PROBES`; an unknown one is reported as failed. None takes those that are on by
            default.
        context: where to look; None takes the running machine, without any mount point.

    Returns:
        one report for each name, in the order given. It takes no longer than the longest limit, and never raises.
    """
    context = ProbeContext() if context is None else context
    taken_ns = time.time_ns()
    started = {
        name: _start(name, context) for name in dict.fromkeys(PROBES.default_names() if names is None else names)
    }
    return HardwareSnapshot(host_name(), taken_ns, {name: _finish(name, *begun) for name, begun in started.items()})


def _start(name: str, context: ProbeContext) -> tuple[Pending[dict[str, Any]] | Exception, float]:
    """Return a started probe, or why it could not be started; and its limit in seconds."""
    try:
        if name not in PROBES:
            raise ProbeError(f"unknown probe; known are {', '.join(PROBES.names())}")
        probe: Probe = PROBES[name]()
        return Pending(lambda: probe.take(context), f"probe-{name}"), probe.time_limit_s
    # A probe whose module cannot even be imported is one failed probe.
    except Exception as error:
        return error, 0.0


def _finish(name: str, begun: Pending[dict[str, Any]] | Exception, limit_s: float) -> ProbeReport:
    if isinstance(begun, Exception):
        return ProbeReport(name, success=False, duration_s=0.0, error=_message(begun))
    try:
        data = begun.result(limit_s)
        if not isinstance(data, dict):
            raise ProbeError(f"gave {type(data).__name__} instead of facts")
        json.dumps(data)  # what is not plain data fails here, as this probe's failure
        return ProbeReport(name, success=True, duration_s=begun.duration_s, data=data)
    except NoData as absent:
        return ProbeReport(name, success=True, duration_s=begun.duration_s, absent=_message(absent))
    except KeyboardInterrupt:
        raise
    # Whatever a probe raises, SystemExit too, is its report and nobody else's trouble.
    except BaseException as error:
        return ProbeReport(name, success=False, duration_s=begun.duration_s, error=_message(error))


def _message(error: BaseException) -> str:
    """Return one line; the type too, unless the message was written for a person."""
    text = " ".join(str(error).split())
    if not isinstance(error, (NoData, ProbeError)):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text[:_MAX_MESSAGE_CHARS]
