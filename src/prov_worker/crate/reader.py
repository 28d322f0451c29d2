"""Opens step crates, ours and those of the same contract, without changing them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prov_worker.crate import bounds, legacy
from prov_worker.crate import vocabulary as v
from prov_worker.crate.endpoint import USER_ENDPOINT, Endpoint, endpoint_of
from prov_worker.crate.graph import Entity, hardware_of, load_graph, reference_ids, series_of, types_of
from prov_worker.crate.listed_files import OutsideError, listed_files
from prov_worker.crate.sources import Source, source_of
from prov_worker.errors import CrateError, blaming
from prov_worker.model import COMPLETED, FAILED, TaskSeries
from prov_worker.moments import parse_moment

if TYPE_CHECKING:
    from prov_worker.crate.pictures import Picture
    from prov_worker.training import Training

_STATUS = re.compile(r"(?:https?://schema\.org/|schema:)?(Completed|Failed)ActionStatus\Z")
#: Times that fit into 64 bits of nanoseconds, as tables and databases keep them.
_YEARS = range(1970, 2262)


class StepCrate:
    """One step crate, read at once; series and hardware are read when they are asked for.

    Args:
        source: where the crate lies.
        graph: entities of its metadata, in a list or by id.

    Attributes:
        source: where the crate lies.
        path: its directory, or the zip file that holds it.
        entities: entities by id.
        action: the entity of the task's execution.
        task_id: Globus Compute task id.
        attempt: number of the attempt; 1 if the crate does not say.
        status: ``completed`` or ``failed``.
        error: the line that says why the task failed; None for a completed one.
        start, end: UTC; ``start`` is None for a task that no worker began.
        wall_time_s: seconds from start to end; None without a start.
        function_name: name of the function.
        host, endpoint_id: None if the crate does not say.
        usage: pairs of value and unit (``second``, ``byte``, ``percent``, ``count``; empty if there is none) by
            key: ``wall``, ``cpu``, ``peak-rss``, ``cpu-max`` and more.
        files: the files that the crate lists.
    """

    def __init__(self, source: Source, graph: list[Entity] | dict[str, Entity]) -> None:
        self.source = source
        self.path = source.path
        self._metadata = f"{source.where}/{v.METADATA_FILE}"
        self.entities: dict[str, Entity] = graph if isinstance(graph, dict) else {}
        for entity in () if isinstance(graph, dict) else graph:
            self.entities.setdefault(entity["@id"], entity)
        self._legacy = legacy.is_legacy(self.entities)
        root = self._entity("./", "@graph")
        # The step is found by the root's main entity and never by its id: tools have written it in two ways.
        action_ids = reference_ids(root.get("mainEntity"))
        if not action_ids and v.TRIGGER_ID in self.entities:
            raise CrateError(source.where, "the crate of a trigger, not a step crate")
        if len(action_ids) != 1:
            problem = "missing" if root.get("mainEntity") is None else "expected one reference"
            raise self._wrong("./.mainEntity", f"{problem}, so this is not a step crate")
        self.action = self._entity(action_ids[0], "./.mainEntity")
        if "CreateAction" not in types_of(self.action):
            raise self._wrong("./.mainEntity", f"{action_ids[0]} is no CreateAction, so this is not a step crate")
        self.task_id = self._task_id(root)
        self.attempt = self._integer("#attempt", 1)
        self.start = self._time("startTime", required=False)
        end = self._time("endTime", required=True)
        if end is None:  # required: _time has raised
            raise self._wrong("endTime", "missing")
        self.end: datetime = end
        self.status = self._status()
        error = self.action.get("error")
        self.error: str | None = error if isinstance(error, str) else None
        properties = reference_ids(self.action.get("additionalProperty"))
        self._properties = [self.entities[name] for name in properties if name in self.entities]
        self.usage = self._usage()
        try:
            self.files = listed_files(self.entities)
        except OutsideError as error:
            raise self._wrong(str(error), "a file of a crate lies inside it") from None

    @classmethod
    def open(cls, crate: Path | str | Source) -> StepCrate:
        """Read a step crate.

        Args:
            crate: a directory, a zip of one crate, ``many.zip!task.crate``, or what the module ``sources`` gives.

        Raises:
            CrateError: names the file, and the key if there is one, of whatever is missing or wrong.
        """
        source = source_of(crate) if isinstance(crate, (Path, str)) else crate
        with blaming(source.where):
            return cls(source, load_graph(source))

    def _wrong(self, key: str, problem: str) -> CrateError:
        return CrateError(self._metadata, problem, key)

    def _entity(self, identifier: str, key: str) -> Entity:
        try:
            return self.entities[identifier]
        except KeyError:
            raise self._wrong(key, f"no entity {identifier}") from None

    def _value(self, identifier: str) -> Any:
        entity = self.entities.get(identifier)
        return None if entity is None else entity.get("value")

    def _integer(self, identifier: str, default: int) -> int:
        value = self._value(identifier)
        if value is None:
            return default
        try:
            number = int(value)
        except (TypeError, ValueError, OverflowError):
            raise self._wrong(f"{identifier}.value", f"expected an integer, got {value!r}") from None
        if abs(number) >= 1 << 31:
            raise self._wrong(f"{identifier}.value", "expected a smaller integer")
        return number

    def _task_id(self, root: Entity) -> str:
        for identifier in (*reference_ids(self.action.get("identifier")), *reference_ids(root.get("identifier"))):
            value = self._value(identifier)
            if isinstance(value, str) and value:
                return value.removeprefix("urn:uuid:")
        raise self._wrong(f"{self.action['@id']}.identifier", "expected a reference to the task id")

    def _time(self, key: str, *, required: bool) -> datetime | None:
        value = self.action.get(key)
        if value is None and not required:
            return None
        place = f"{self.action['@id']}.{key}"
        if not isinstance(value, str):
            raise self._wrong(place, "missing" if value is None else f"expected a time, got {value!r}")
        try:
            time = parse_moment(value)
        except ValueError:
            raise self._wrong(place, f"expected a time, got {value!r}") from None
        if time.tzinfo is None:
            raise self._wrong(place, f"expected a time with its offset from UTC, got {value!r}")
        try:
            time = time if time.tzinfo is timezone.utc else time.astimezone(timezone.utc)
        except OverflowError:
            raise self._wrong(place, f"expected a time, got {value!r}") from None
        if time.year not in _YEARS:
            raise self._wrong(place, f"expected a time from {_YEARS[0]} to {_YEARS[-1]}, got {value!r}")
        return time

    def _status(self) -> str:
        status = self.action.get("actionStatus")
        ids = reference_ids(status)
        # As an IRI of either scheme, a reference to it, or the bare term: all are written by somebody.
        text = ids[0] if len(ids) == 1 else status
        match = _STATUS.match(text) if isinstance(text, str) else None
        if match is not None:
            return COMPLETED if match[1] == "Completed" else FAILED
        place = f"{self.action['@id']}.actionStatus"
        raise self._wrong(place, f"expected CompletedActionStatus or FailedActionStatus, got {status!r}")

    def _usage(self) -> dict[str, tuple[float | int | str, str]]:
        usage = {}
        for identifier in reference_ids(self.action.get("resourceUsage")):
            entity = self.entities.get(identifier)
            if entity is None:
                raise self._wrong(f"{self.action['@id']}.resourceUsage", f"no entity {identifier}")
            unit = v.UNIT_NAMES.get(str(entity.get("unitCode")), "")
            value = entity.get("value")
            if not isinstance(value, (int, float, str)):
                raise self._wrong(f"{identifier}.value", f"expected a number, got {value!r}")
            if isinstance(value, (int, float)) and bounds.MAX_NUMBER <= abs(value) < math.inf:
                raise self._wrong(f"{identifier}.value", f"larger than any total, {bounds.MAX_NUMBER:g}")
            usage[identifier.removeprefix("#usage-")] = (value, unit)
        return usage

    @property
    def wall_time_s(self) -> float | None:
        """Seconds from start to end, as measured if the crate says so; None for a task that no worker began."""
        value, _ = self.usage.get("wall", (None, ""))
        if isinstance(value, (int, float)):
            return float(value)
        # A task that no worker began waited from its start, when the engine took it, to its end.
        return None if self.start is None or self._value(v.BEGUN) is False else (self.end - self.start).total_seconds()

    @cached_property
    def function(self) -> Entity:
        """The entity of the function."""
        ids = reference_ids(self.action.get("instrument"))
        if len(ids) != 1:
            raise self._wrong(f"{self.action['@id']}.instrument", "expected one reference")
        return self._entity(ids[0], f"{self.action['@id']}.instrument")

    @property
    def function_name(self) -> str:
        """Name of the function."""
        function = self.function
        name = function.get("name")
        if not isinstance(name, str):
            raise self._wrong(f"{function['@id']}.name", "missing")
        return name

    @property
    def function_doc(self) -> str | None:
        """Description of the function: what its docstring says first."""
        text = self.function.get("description")
        if not isinstance(text, str) or not text:
            return None
        return (legacy.function_doc(text) or None) if self._legacy else text

    @property
    def function_identified_by(self) -> str | None:
        """What the function's identifier is made of: ``id`` (of Globus Compute), ``sha256``, ``name``; else None."""
        value = legacy.function_identified_by(self.function) if self._legacy else self._value(v.FUNCTION_IDENTIFIED_BY)
        return value if isinstance(value, str) else None

    @property
    def host(self) -> str | None:
        """Name of the node."""
        host = self._value("#worker-host")
        return host if isinstance(host, str) else None

    @property
    def endpoint_id(self) -> str | None:
        """UUID of the endpoint that the task was submitted to."""
        return self._endpoint.id

    @property
    def endpoint_name(self) -> str | None:
        """Name of that endpoint, or its id."""
        endpoint = self._endpoint
        return endpoint.name or endpoint.id

    @property
    def user_endpoint_id(self) -> str | None:
        """UUID of the user endpoint that ran the task; None if the crate names none."""
        value = self._value(USER_ENDPOINT)
        return value if isinstance(value, str) else self._endpoint.user_id

    @cached_property
    def _endpoint(self) -> Endpoint:
        for reference in reference_ids(self.action.get("provider")):
            provider = self._entity(reference, f"{self.action['@id']}.provider")
            identifier, name = provider.get("identifier"), provider.get("name")
            return endpoint_of(
                identifier.removeprefix("urn:uuid:") if isinstance(identifier, str) else None,
                name if isinstance(name, str) and name else None,
            )
        return Endpoint(None, None, None)

    def properties(self) -> Iterator[Entity]:
        """Yield the additional properties of the action."""
        yield from self._properties

    @property
    def annotations(self) -> dict[str, str | int | float]:
        """What the task's code noted with ``annotate``."""
        annotations = {}
        for entity in self._properties:
            if entity.get("propertyID") == v.ANNOTATION and isinstance(entity.get("value"), (str, int, float)):
                annotations[str(entity.get("name", entity["@id"]))] = entity["value"]
        return annotations

    @property
    def notes(self) -> list[str]:
        """The recorder's remarks, such as on what is missing."""
        if self._legacy:
            return legacy.notes(self.description)
        return [str(entity.get("value", "")) for entity in self._properties if entity.get("propertyID") == v.NOTE]

    @property
    def samples(self) -> int | None:
        """How many samples of the task were taken; None if none was, or the crate does not say."""
        return legacy.samples(self.entities)[0] if self._legacy else self._count(v.SAMPLES_TAKEN)

    @property
    def samples_expected(self) -> int | None:
        """How many samples of the task were due; None if the crate does not say."""
        return legacy.samples(self.entities)[1] if self._legacy else self._count(v.SAMPLES_EXPECTED)

    def _count(self, identifier: str) -> int | None:
        value = self._value(identifier)
        return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63 else None

    def value_recorded(self, entity: Entity) -> bool:
        """Return whether the value of an argument or a result is the value, and not a stand-in such as ``<int>``.

        Args:
            entity: one that the action refers to as ``object`` or ``result``.
        """
        return legacy.value_recorded(entity) if self._legacy else entity.get("valueRecorded") is not False

    @property
    def description(self) -> str:
        """What the crate says of the execution in words."""
        return str(self.action.get("description", ""))

    def hardware(self) -> dict[str, Any]:
        """Return content of ``data/hardware.json``.

        Raises:
            CrateError: it is missing, no JSON object, or its ``probes`` have another shape.
        """
        return hardware_of(self.source)

    def series(self) -> TaskSeries:
        """Return the series of the task; empty if nothing was sampled.

        Raises:
            CrateError: the file is listed and missing, or has another shape.
        """
        return series_of(self.source) if v.SERIES_FILE in self.entities else TaskSeries()

    def training(self) -> Training:
        """Return what libraries reported of models that the task trained; empty if they reported none.

        Raises:
            CrateError: the file is listed and missing, or has another shape.
        """
        from prov_worker.crate.training import training_of
        from prov_worker.training import Training

        return training_of(self.source) if v.TRAINING_FILE in self.entities else Training()

    def plot(self) -> Picture:
        """Return a picture of the task's CPU and memory over time, which notebooks show.

        Raises:
            CrateError: there is no sample, or the file is damaged.
        """
        from prov_worker.crate.add_plot import draw
        from prov_worker.crate.pictures import Picture

        return Picture(draw(self, "svg").decode())

    def curves(self) -> Picture:
        """Return a picture of the metrics that trackers know of the task, over their steps.

        Raises:
            CrateError: the file is listed and missing, or has another shape.
        """
        from prov_worker.crate.pictures import metric_curves

        return metric_curves({"": self.training()})

    def _repr_html_(self) -> str:
        """Return the crate as a notebook shows it: as on its page, with its pictures."""
        from prov_worker.crate.html import section, text
        from prov_worker.crate.preview import step_body

        pictures = []
        for file, draw in ((v.CPU_FILE, self.plot), (v.TRAINING_FILE, self.curves)):
            if file in self.entities:
                try:
                    pictures.append(f"<p>{draw().svg}</p>")
                except CrateError as error:
                    pictures.append(f"<p>{text(error)}</p>")
        return section(step_body(self.entities, self.action, "".join(pictures)))
