"""What would run, before anything does: the call, where it is from, and how this environment differs from the first."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from prov_worker.containers import find_container
from prov_worker.crate import vocabulary as v
from prov_worker.crate.reader import StepCrate
from prov_worker.crate.sources import Source, read
from prov_worker.crate.summary import USED, FileRef, RunStep
from prov_worker.errors import CrateError
from prov_worker.files import sha256_of
from prov_worker.humanize import plural
from prov_worker.interpreter import own_python
from prov_worker.model import host_name
from prov_worker.recorder.worker_info import container_text
from prov_worker.rerun.packed import packed_call

_ENVIRONMENT = "environment"


@dataclass(frozen=True, slots=True)
class Difference:
    """A fact of the environment that is not as it was; None is absent."""

    name: str
    first: str | None
    here: str | None


@dataclass(slots=True)
class Plan:
    """A step that can be run again.

    Attributes:
        step: the first execution.
        crate: its crate.
        call: serialised.
        source: text of the function, if the crate has it; what runs is the call, which it was proved to be.
        differences: of the environment; empty for an endpoint, whose environment is not known beforehand.
        unchecked: input files of which the crate has no hash.
        prefix: directory of the first's Python environment, if that is another one and is here.
    """

    step: RunStep
    crate: StepCrate
    call: str
    source: str | None = None
    differences: list[Difference] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    prefix: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what is shown of it, as plain data."""
        step = self.step
        return {
            "crate": step.crate,
            "task_id": step.task_id,
            "function": step.function,
            "module": step.module,
            "source": self.source,
            "call_characters": len(self.call),
            "arguments": [
                {"name": value.name, "type": value.type, "value": value.value, "sha256": value.sha256}
                for value in step.arguments
            ],
            "recorded": {"host": step.host, "user": step.user, "status": step.status},
            "differences": [
                {"name": difference.name, "first": difference.first, "here": difference.here}
                for difference in self.differences
            ],
            "unchecked_files": self.unchecked,
            "recorded_prefix_here": self.prefix,
        }


def plan_of(step: RunStep, crate: StepCrate, *, here: bool = True) -> Plan:
    """Return what running a step again would do.

    Args:
        step: the step.
        crate: its crate.
        here: on this machine, in this environment.

    Raises:
        CrateError: it cannot be run again honestly: there is no serialised call, or not the recorded one; this is
            another minor version of Python; or an input file is missing or has changed.
    """
    plan = Plan(step, crate, packed_call(crate))
    if v.SOURCE_FILE in crate.entities:
        plan.source = read(crate.source, v.SOURCE_FILE).decode(errors="replace")
    if not here:
        return plan
    recorded = _recorded(crate)
    _check_python(step, recorded)
    plan.unchecked = list(_unchecked(crate.source, step.files))
    plan.differences = list(_differences(step, recorded))
    prefix = _text(_mapping(recorded.get("python")).get("prefix"))
    if prefix is not None and prefix != own_python()["prefix"] and os.path.isdir(prefix):
        plan.prefix = prefix
    return plan


def _recorded(crate: StepCrate) -> dict[str, Any]:
    """Return what the probe of software found; empty if it was not asked."""
    try:
        probes = crate.hardware().get("probes", {})
    except CrateError:
        return {}
    return _mapping(_mapping(probes.get(_ENVIRONMENT)).get("data"))


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _check_python(step: RunStep, recorded: dict[str, Any]) -> None:
    version = step.versions.get("python") or _text(_mapping(recorded.get("python")).get("version"))
    if version is None:
        raise CrateError(step.crate, "it does not say which Python ran it")
    minor = ".".join(version.split(" ")[0].split(".")[:2])
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if minor != own:
        where = _text(_mapping(recorded.get("python")).get("executable"))
        remedy = f"; it was {where}" if where else ""
        raise CrateError(
            step.crate,
            f"ran with Python {version.split(' ')[0]}, here is {own_python()['version']}: call this program "
            f"from an environment with Python {minor}{remedy}",
        )


def _unchecked(source: Source, files: list[FileRef]) -> Iterator[str]:
    """Yield the input files that cannot be compared, of those that a step says that it used."""
    for file in files:
        if file.role != USED or file.inside or not os.path.isabs(file.path):
            continue
        if file.sha256 is None:
            yield file.path
            continue
        try:
            change = _change(file)
        except OSError as error:
            raise CrateError(source.where, f"its input {file.path} cannot be read here: {error.strerror}") from None
        if change is not None:
            raise CrateError(source.where, f"its input {file.path} is another one here: {change}")


def _change(file: FileRef) -> str | None:
    """Return how a file differs from what a step used; None if it does not.

    The crate names the path: a pipe or a device there is not waited for.
    """
    descriptor = os.open(file.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as stream:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return "not a regular file"
        if file.size_bytes is not None and status.st_size != file.size_bytes:
            return f"{plural(status.st_size, 'byte')}, was {file.size_bytes:,}"
        digest = sha256_of(stream)
    return None if digest == file.sha256 else f"sha256 {digest[:12]}…, was {(file.sha256 or '')[:12]}…"


def _differences(step: RunStep, recorded: dict[str, Any]) -> Iterator[Difference]:
    from prov_worker.probes.node.environment import distributions

    facts: dict[str, tuple[str | None, str | None]] = {
        "host": (step.host, host_name()),
        "Python": (step.versions.get("python", "").split(" ")[0] or None, own_python()["version"]),
        "modules": (
            " ".join(map(str, recorded.get("loaded_modules") or ())) or None,
            " ".join(filter(None, os.environ.get("LOADEDMODULES", "").split(":"))) or None,
        ),
    }
    facts["container"] = step.container, container_text(find_container(os.environ), os.environ)
    own = distributions()
    packages = recorded.get("distributions")
    for name, version in (_mapping(packages) or step.versions).items():
        if name != "python":
            facts[name] = str(version), own.get(name)
    for name, (first, here) in facts.items():
        if first != here:
            yield Difference(name, first, here)


def summarised(differences: list[Difference], most: int = 12) -> list[str]:
    """Return differences as lines of text, the first of them if they are many."""
    lines = [
        f"{difference.name}: {difference.first or 'none'}, here {difference.here or 'none'}"
        for difference in differences[:most]
    ]
    if len(differences) > most:
        lines.append(f"and {plural(len(differences) - most, 'more difference')}")
    return lines
