"""What a worker reads of the settings that come with a task.

Whoever sent them has checked them (:class:`prov_worker.settings.Settings`), and left out what stands at its default. To
check them again would have each worker import all that knows how.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from prov_worker import schedulers
from prov_worker.accelerator_variables import DETAILS, VARIABLES

if TYPE_CHECKING:
    from prov_worker.capture_settings import Capture

#: Types of telemetry, in the order of the fields of :class:`prov_worker.telemetry_settings.Telemetry`.
TELEMETRY = ("cpu", "memory", "threads", "io", "children", "node", "per_cpu", "gpu")
#: Value of ``capture_arguments``.
PACKED = "packed"
#: Value of ``capture_outputs``.
AT_END = "at_end"
RING_LIMIT = 64 << 20


def default_environment() -> tuple[str, ...]:
    """Return the variables that say where a task ran.

    Never a whole environment: the endpoint's client secret is in there.
    """
    return (
        *VARIABLES,
        *DETAILS,
        "OMP_NUM_THREADS",
        *schedulers.variables(),
    )


class WorkerSettings:
    """The options that a worker needs; of the same names and meanings as those of ``Settings``.

    Args:
        mapping: plain data of :meth:`prov_worker.settings.Settings.to_mapping`.

    Raises:
        ValueError, TypeError, AttributeError: a value is not one that ``Settings`` gives.
    """

    __slots__ = (
        "capture",
        "capture_arguments",
        "capture_environment",
        "capture_output",
        "capture_outputs",
        "poll_interval",
        "ring_limit",
        "telemetry",
        "write",
    )

    def __init__(self, mapping: Mapping[str, Any]) -> None:
        option = mapping.get
        self.capture_arguments: str = option("capture_arguments", "types")
        self.capture_output: str = option("capture_output", "commands")
        self.capture_outputs: bool | str = option("capture_outputs", True)
        self.write: str = option("write", "background")
        self.ring_limit = int(option("ring_limit", RING_LIMIT))
        self.poll_interval = float(option("poll_interval", 0.05))
        self.telemetry: Mapping[str, bool | float] = option("telemetry", {})
        #: None is the default: few workers have another one, and need what reads it.
        self.capture: Capture | None = None
        capture = option("capture", True)
        if capture is not True:
            from prov_worker import capture_settings

            self.capture = capture_settings.check(capture)
        environment = option("capture_environment")
        self.capture_environment = default_environment() if environment is None else tuple(environment)

    def intervals(self, off: float) -> tuple[float, ...]:
        """Return seconds between readings of each type of telemetry; ``off`` for those that are off."""
        return tuple(self._interval_s(self.telemetry.get(kind, True), off) for kind in TELEMETRY)

    def _interval_s(self, value: bool | float, off: float) -> float:
        if value is False:
            return off
        return self.poll_interval if value is True else max(value, self.poll_interval)
