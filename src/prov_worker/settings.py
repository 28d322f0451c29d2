"""The one description of how recording is configured, wherever it is configured.

Three ways lead here: the ``provenance:`` mapping of an engine, ``PROV_WORKER_<FIELD>`` variables, and options of the
command line. Unknown names, wrong types and values out of range raise :class:`~prov_worker.errors.SettingsError` with
the path of the key. Standard library only: workers import this module.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from prov_worker import capture_settings, setting_values, telemetry_settings
from prov_worker.capture_settings import Capture
from prov_worker.errors import BelowError, SettingsError
from prov_worker.registry import Registry
from prov_worker.stream_url import PASSWORD, stream_urls
from prov_worker.telemetry_settings import Telemetry
from prov_worker.worker_settings import AT_END, PACKED, RING_LIMIT, default_environment

#: Variable that switches recording on.
SWITCH = "PROV_WORKER"
PREFIX = SWITCH + "_"
#: What makes each hardware probe, by its name. A probe registers itself in its own file.
PROBES: Registry[Callable[[], Any]] = Registry("prov_worker.probes.node", named=True)
PLOTS = ("png", "svg", "none")
#: Variables of the same prefix that are not settings of recording.
OTHER_VARIABLES = tuple(PREFIX + name for name in ("VALIDATOR", "FLEET", "IMAGE", "IMAGE_DIGEST", "PROCESS", "CONTEXT"))
WRITE = ("background", "before_result")
CRATES = ("directories", "packs")
#: Logger that warns of it.
PACKED_LOGGER = "prov_worker.packed"
CAPTURE_ARGUMENTS = ("none", "types", "values", PACKED)
CAPTURE_OUTPUT = ("none", "commands", "tail")
#: Options that say where events go: in no journal and in no crate.
STREAM = ("stream", "stream_keep", "stream_limit")


@dataclass(frozen=True, slots=True)
class Settings:
    """How tasks are recorded. Every field has a default; see ``docs/settings.md``.

    Attributes:
        enabled: false gives stock behaviour and no crate.
        crate_dir: absolute directory in which ``<task_id>.crate`` appears; None takes the endpoint's default.
        poll_interval: seconds between samples, 0.01 to 60.
        telemetry: types of telemetry that are off, or have an interval of their own.
        mount_points: absolute paths, each a Storage component of the crate; empty takes the crate directory's mount.
        probes: hardware probes to run; None runs those that are on by default.
        plots: ``png`` (matplotlib), ``svg`` or ``none``.
        plot_min_duration: seconds; shorter tasks get no plot.
        preview: put ``ro-crate-preview.html``, a page about it, into each crate.
        crates: ``directories``, or ``packs``: zip files of many crates.
        write: ``background``, or ``before_result`` to release a result only when its crate is complete on disk.
        capture_arguments: ``none``, ``types`` (type, size, sha256), ``values`` (also a truncated, redacted repr) or
            ``packed`` (also the serialised call, of which nothing can be redacted).
        capture_environment: names of environment variables to record.
        capture_output: keep the last 64 KiB of standard output and of standard error: ``none``, of shell ``commands``,
            or ``tail``, of what Python functions print as well.
        capture_outputs: record files made in the task's sandbox (path, size, sha256); ``at_end`` has the worker list
            them before its result leaves.
        capture: what is recorded of the libraries that tasks use: Dask, MLflow, Parsl, TensorBoard, PyTorch.
        ring_limit: most bytes of a node's memory for records that wait for the crate directory's file system.
        metrics_dir: absolute, node-local directory for a file that Prometheus' node_exporter reads; None writes none.
        metrics_port: port of 127.0.0.1 on which the agent answers Prometheus; None opens none.
        stream: addresses that events of tasks are sent to while they run; none has a password in it.
        stream_keep: seconds that events wait for an address that is away, 60 to 31,536,000.
        stream_limit: most bytes of events that wait.
        license: IRI of the licence of the crates.
        author: IRI of a person, such as an ORCID, or a plain name.
        publisher: IRI of an organisation, such as a ROR id, or a plain name.
        submitter: Globus identity, a UUID, for which an endpoint of many users runs its tasks.
        service_url: web service that has the functions; None for Globus Compute's own.
    """

    enabled: bool = True
    crate_dir: str | None = None
    poll_interval: float = 0.05
    telemetry: Telemetry = field(default_factory=Telemetry)
    mount_points: tuple[str, ...] = ()
    probes: tuple[str, ...] | None = None
    plots: str = "png"
    plot_min_duration: float = 1.0
    preview: bool = False
    crates: str = "directories"
    write: str = "background"
    capture_arguments: str = "types"
    capture_environment: tuple[str, ...] = field(default_factory=default_environment)
    capture_output: str = "commands"
    capture_outputs: bool | str = True
    capture: Capture = field(default_factory=Capture)
    ring_limit: int = RING_LIMIT
    metrics_dir: str | None = field(default=None)
    metrics_port: int | None = field(default=None)
    stream: tuple[str, ...] = ()
    stream_keep: float = 604_800.0
    stream_limit: int = 1 << 30
    license: str | None = field(default=None)
    author: str | None = field(default=None)
    publisher: str | None = field(default=None)
    submitter: str | None = field(default=None)
    service_url: str | None = field(default=None)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any] | None, where: str = "provenance") -> Settings:
        """Check and take typed values, as YAML gives them.

        Args:
            values: the mapping; None stands for an empty one.
            where: path of the mapping, put before the key in errors.

        Raises:
            SettingsError: unknown key, wrong type, or a value that is not allowed.
        """
        if values is None:
            return cls()
        if not isinstance(values, Mapping):
            raise SettingsError(where, f"expected a mapping of options, got {type(values).__name__}")
        checked: dict[str, Any] = {}
        for key, value in values.items():
            check = _CHECKS.get(key) if isinstance(key, str) else None
            if check is None:
                names = ", ".join(sorted(_CHECKS))
                raise SettingsError(f"{where}.{key}", f"unknown option; known are {names}")
            if value is None:
                continue
            try:
                checked[key] = check(value)
            except BelowError as error:
                raise SettingsError(f"{where}.{key}.{error.key}", str(error)) from None
            except ValueError as error:
                raise SettingsError(f"{where}.{key}", str(error)) from None
        settings = cls(**checked)
        settings._check_telemetry(f"{where}.telemetry")
        settings._check_crates(f"{where}.crates")
        return settings

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read ``PROV_WORKER_<FIELD>`` variables; lists are separated by commas (mount points also by colons).

        Raises:
            SettingsError: as in :meth:`from_mapping`; the key is the variable's name.
        """
        environ = os.environ if environ is None else environ
        names = {PREFIX + f.name.upper(): f.name for f in fields(cls)}
        values: dict[str, Any] = {}
        for variable, text in environ.items():
            if not variable.startswith(PREFIX) or text == "" or variable in OTHER_VARIABLES:
                continue
            if variable.startswith(PASSWORD):
                continue
            name = names.get(variable)
            if name is None:
                raise SettingsError(variable, f"unknown variable; known are {', '.join(sorted(names))}")
            try:
                values[name] = _CHECKS[name](_parse(name, text))
            except BelowError as error:
                raise SettingsError(f"{variable}.{error.key}", str(error)) from None
            except ValueError as error:
                raise SettingsError(variable, str(error)) from None
        settings = cls(**values)
        settings._check_telemetry(PREFIX + "TELEMETRY")
        settings._check_crates(PREFIX + "CRATES")
        return settings

    def to_mapping(self) -> dict[str, Any]:
        """Return plain data that :meth:`from_mapping` reads back, without options that stand at their default.

        This is what journals and crates have; where events are streamed to is in neither: see :meth:`stream_mapping`.
        """
        mapping = {name: value for name, value in self._changed().items() if name not in STREAM}
        if "telemetry" in mapping:
            mapping["telemetry"] = self.telemetry.to_mapping()
        if "capture" in mapping:
            mapping["capture"] = self.capture.to_mapping()
        return mapping

    def stream_mapping(self) -> dict[str, Any]:
        """Return plain data of the options in :data:`STREAM`; empty if events are not streamed."""
        return {name: value for name, value in self._changed().items() if name in STREAM} if self.stream else {}

    def _changed(self) -> dict[str, Any]:
        default = asdict(Settings())
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
            if value != default[name]
        }

    def _check_crates(self, where: str) -> None:
        """Refuse packs for results that wait for a crate of their own: a transfer cannot take a member of a zip."""
        if (self.crates, self.write) == ("packs", "before_result"):
            raise SettingsError(where, "packs do not go with before_result, which needs a directory for each crate")

    def _check_telemetry(self, where: str) -> None:
        """Refuse intervals that no sample can keep."""
        for kind, value in self.telemetry.to_mapping().items():
            if value is not False and value < self.poll_interval:
                text = f"{value:g} seconds are less than the poll interval of {self.poll_interval:g}"
                raise SettingsError(f"{where}.{kind}", text)


def switched_on() -> bool:
    """Return whether ``PROV_WORKER`` asks for recording in this process."""
    return capture_settings.truth(os.environ.get(SWITCH, "")) is True


def _parse(name: str, text: str) -> Any:
    if name == "capture_outputs" and text.strip().lower() == AT_END:
        return AT_END
    if name in ("enabled", "preview", "capture_outputs"):
        truth = capture_settings.truth(text)
        if truth is None:
            raise ValueError(f"expected true or false, got {text!r}")
        return truth
    if name in ("poll_interval", "plot_min_duration", "stream_keep"):
        try:
            return float(text)
        except ValueError:
            raise ValueError(f"expected a number of seconds, got {text!r}") from None
    if name in ("ring_limit", "stream_limit", "metrics_port"):
        try:
            return int(text)
        except ValueError:
            unit = "" if name == "metrics_port" else " of bytes"
            raise ValueError(f"expected a whole number{unit}, got {text!r}") from None
    if name == "stream":
        return text.split()  # an address may have commas
    if name == "telemetry":
        return telemetry_settings.parse(text)
    if name == "capture":
        return capture_settings.parse(text)
    if name == "mount_points":
        return [part for part in text.replace(":", ",").split(",") if part]
    if name in ("probes", "capture_environment"):
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _boolean_or_at_end(value: Any) -> bool | str:
    if value == AT_END:
        return AT_END
    if not isinstance(value, bool):
        raise ValueError(f"expected true, false or {AT_END}, got {value!r}")
    return value


def _addresses(value: Any) -> tuple[str, ...]:
    return tuple(url.text for url in stream_urls(value))


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "enabled": setting_values.boolean,
    "crate_dir": setting_values.absolute,
    "poll_interval": setting_values.seconds(0.01, 60.0),
    "telemetry": telemetry_settings.check,
    "mount_points": setting_values.absolutes,
    "probes": setting_values.choices(PROBES.names),
    "plots": setting_values.choice(PLOTS),
    "plot_min_duration": setting_values.seconds(0.0, 86_400.0),
    "preview": setting_values.boolean,
    "crates": setting_values.choice(CRATES),
    "write": setting_values.choice(WRITE),
    "capture_arguments": setting_values.choice(CAPTURE_ARGUMENTS),
    "capture_environment": setting_values.strings,
    "capture_output": setting_values.choice(CAPTURE_OUTPUT),
    "capture_outputs": _boolean_or_at_end,
    "capture": capture_settings.check,
    "ring_limit": setting_values.byte_count(1 << 20, 1 << 40),
    "metrics_dir": setting_values.absolute,
    "metrics_port": setting_values.port,
    "stream": _addresses,
    "stream_keep": setting_values.seconds(60.0, 31_536_000.0),
    "stream_limit": setting_values.byte_count(1 << 20, 1 << 50),
    "license": setting_values.plain_text,
    "author": setting_values.plain_text,
    "publisher": setting_values.plain_text,
    "submitter": setting_values.uuid,
    "service_url": setting_values.web_address,
}
