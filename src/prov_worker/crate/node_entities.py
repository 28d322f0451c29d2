"""Entities of one node: hardware components and the raw hardware report.

A node does not change while tasks run on it, so its entities are rendered once and reused by every crate; only the
references from a component to the observations of a task differ.

The graph has what tells components apart and how large they are. All else that the probes found is in the report alone,
which each component refers to (``subjectOf``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from prov_worker.crate import vocabulary as v
from prov_worker.crate.entities import entity, property_value, references
from prov_worker.crate.json_text import clean, encode, finite, is_number, one_line, safe_name, utc
from prov_worker.model import HardwareSnapshot, ProbeReport

Fact = tuple[str, str, Any, str | None]


_DURATION_DIGITS = 6


def hardware_report(snapshot: HardwareSnapshot) -> bytes:
    """Return content of ``data/hardware.json``: the prototype's keys, and the reports of all probes as they were taken.

    ``lscpu``, ``virtual_memory``, ``disk`` and ``gpus`` are the prototype's; they are there once, and
    :func:`prov_worker.crate.graph.hardware_in` puts them back into ``probes``, as they were in all crates before.
    """
    top: dict[str, Any] = {
        "lscpu": {},
        "virtual_memory": {},
        "disk": [],
        "gpus": [],
    }
    probes = snapshot.to_dict()["probes"]
    for report in probes.values():
        report["duration_s"] = round(report["duration_s"], _DURATION_DIGITS)
    for key, (probe, member) in v.HARDWARE_ONCE.items():
        data = probes.get(probe, {}).get("data", {})
        if data.get(member):
            top[key] = data.pop(member)
    report = {"host": snapshot.host, "taken": utc(snapshot.taken_ns), "taken_ns": snapshot.taken_ns, **top}
    return (encode(finite({**report, "probes": probes})) + "\n").encode()


def _rendered(prefix: str, facts: Iterable[Fact]) -> tuple[list[str], list[str]]:
    """Return PropertyValues of a component, and their ids; facts that are not known (None, empty) are left out."""
    ids: list[str] = []
    texts: list[str] = []
    for key, name, value, unit in facts:
        if value is None or value == "":
            continue
        if unit is not None and not is_number(value):
            unit = None
        identifier = f"{prefix}-{key}"
        ids.append(identifier)
        texts.append(property_value(identifier, name, value, unit=unit))
    return ids, texts


def _component(identifier: str, name: str, description: str, model: Any, property_ids: Sequence[str]) -> str:
    return entity(
        identifier,
        ["HardwareComponent", "IndividualProduct"],
        {
            "name": clean(name),
            "description": clean(description),
            "model": one_line(model) if model else None,
            "additionalProperty": references(property_ids),
            "subjectOf": {"@id": v.HARDWARE_FILE},
        },
    )


def _why_unknown(report: ProbeReport | None) -> str:
    if report is None:
        return "not probed"
    return f"unknown: {one_line(report.absent or report.error or 'the probe found nothing')}"


class Node:
    """The rendered entities of one node.

    Args:
        snapshot: what the probes found.

    Attributes:
        report: content of ``data/hardware.json``.
        report_sha256: its digest.
        container: image in which the probes ran; None if they ran in none, or its name is not known.
    """

    def __init__(self, snapshot: HardwareSnapshot) -> None:
        self.host = one_line(snapshot.host) or "unknown host"
        self.report = hardware_report(snapshot)
        self.report_sha256 = hashlib.sha256(self.report).hexdigest()
        container = snapshot.data("environment").get("container")
        image = container.get("image") if isinstance(container, dict) else None
        self.container: str | None = image if isinstance(image, str) and image else None
        self._taken = utc(snapshot.taken_ns)
        self._facts: list[str] = []
        self._components: dict[str, str] = {}
        self._add_cpu(snapshot)
        self._add_memory(snapshot)
        self._add_storage(snapshot)
        self._add_gpus(snapshot)
        self.environment_ids, environment_texts = self._environment(snapshot)
        self._facts += environment_texts
        self._static = [*self._facts, *self._components.values(), self._runtime(self._components)]

    @property
    def storage_id(self) -> str | None:
        """Id of the first storage component; None if storage was not probed."""
        return "#hardware-storage" if "#hardware-storage" in self._components else None

    def entities(self, performance: Mapping[str, Sequence[str]]) -> list[str]:
        """Return all entities of the node.

        Args:
            performance: ids of observations by the id of the component that they are about. A component that no probe
                described is added as one that is not described.
        """
        if not performance:
            return self._static
        components = dict(self._components)
        for identifier in performance:
            if identifier not in components:
                label = identifier.removeprefix("#hardware-").replace("-", " ").upper()
                components[identifier] = _component(identifier, label, f"{label}, not described by a probe", None, ())
        texts = [
            f'{text[:-1]},"performance":{encode(references(performance[identifier]))}}}'
            if performance.get(identifier)
            else text
            for identifier, text in components.items()
        ]
        runtime = self._static[-1] if len(components) == len(self._components) else self._runtime(components)
        return [*self._facts, *texts, runtime]

    def _runtime(self, components: Iterable[str]) -> str:
        return entity(
            "#hardware-runtime",
            ["HardwareRuntime", "Thing"],
            {
                "name": f"Hardware of {self.host} at run time",
                "description": "The hardware of the node, probed once",
                "dateCreated": self._taken,
                "components": references(list(components)),
            },
        )

    def _add(self, identifier: str, name: str, description: str, model: Any = None, facts: Iterable[Fact] = ()) -> None:
        ids, texts = _rendered(identifier, facts)
        self._facts += texts
        self._components[identifier] = _component(identifier, name, description, model, ids)

    def _add_cpu(self, snapshot: HardwareSnapshot) -> None:
        data = snapshot.data("cpu")
        if not data:
            self._add(v.CPU_COMPONENT, "CPU", f"CPU, {_why_unknown(snapshot.probes.get('cpu'))}")
            return
        self._add(
            v.CPU_COMPONENT,
            "CPU",
            f"As reported by {data.get('source') or 'the operating system'}",
            data.get("model"),
            [
                ("logical", "Logical CPUs", data.get("logical"), None),
                ("physical", "Physical cores", data.get("physical_cores"), None),
                ("sockets", "Sockets", data.get("sockets"), None),
                ("architecture", "Architecture", data.get("architecture"), None),
                ("vendor", "Vendor ID", data.get("vendor"), None),
            ],
        )

    def _add_memory(self, snapshot: HardwareSnapshot) -> None:
        data = snapshot.data("memory")
        if not data:
            self._add(v.RAM_COMPONENT, "RAM", f"RAM, {_why_unknown(snapshot.probes.get('memory'))}")
            return
        self._add(
            v.RAM_COMPONENT,
            "RAM",
            "As reported by the operating system",
            None,
            [
                ("total", "total", data.get("total_bytes"), "byte"),
                ("available", "available", data.get("available_bytes"), "byte"),
                ("cgroup-limit", "limit of the control group", data.get("cgroup_limit_bytes"), "byte"),
            ],
        )

    def _add_storage(self, snapshot: HardwareSnapshot) -> None:
        report = snapshot.probes.get("storage")
        mounts = snapshot.data("storage").get("mounts")
        if not isinstance(mounts, list) or not mounts:
            if report is not None:
                self._add("#hardware-storage", "Storage", f"Storage, {_why_unknown(report)}")
            return
        for number, mount in enumerate(mounts):
            identifier = "#hardware-storage" if number == 0 else f"#hardware-storage-{number}"
            point = one_line(mount.get("mount_point") or "unnamed mount point")
            present = bool(mount.get("present", True))
            if present:
                name, description = f"Storage {point}", f"File system that holds {point}"
            else:
                reason = one_line(mount.get("reason") or "not found")
                name, description = f"Storage {point} (absent)", f"{point} is absent on this node: {reason}"
            self._add(
                identifier,
                name,
                description,
                mount.get("device"),
                [
                    ("mount", "mount point", point, None),
                    ("present", "present", None if present else False, None),
                    ("total", "total", mount.get("total_bytes"), "byte"),
                    ("free", "free", mount.get("free_bytes"), "byte"),
                ],
            )

    def _add_gpus(self, snapshot: HardwareSnapshot) -> None:
        devices = snapshot.data("gpu").get("devices")
        for position, device in enumerate(devices if isinstance(devices, list) else ()):
            index = safe_name(str(device.get("index", position)))
            identifier = f"#hardware-gpu-{index}"
            if identifier in self._components:
                # MIG instances may share the index of their parent.
                identifier = f"#hardware-gpu-{index}-{position}"
            model = device.get("model")
            self._add(
                identifier,
                f"GPU {index}",
                f"{one_line(model or 'GPU')}, as reported by its driver",
                model,
                [
                    ("vendor", "Vendor", device.get("vendor"), None),
                    ("uuid", "UUID", device.get("uuid"), None),
                    ("memory", "memory", device.get("memory_bytes"), "byte"),
                    ("driver", "driver version", device.get("driver"), None),
                    ("pci", "PCI address", device.get("pci"), None),
                    ("mig", "MIG instance", device.get("mig"), None),
                    ("parent", "UUID of the parent device", device.get("parent"), None),
                    ("tiles", "tiles", device.get("tiles"), None),
                ],
            )

    @staticmethod
    def _environment(snapshot: HardwareSnapshot) -> tuple[list[str], list[str]]:
        data = snapshot.data("environment")
        modules = data.get("loaded_modules")
        return _rendered(
            "#node",
            [
                ("os", "operating system", data.get("os"), None),
                ("kernel", "kernel", data.get("kernel"), None),
                ("modules", "loaded modules", " ".join(map(str, modules)) if modules else None, None),
                ("software", "sha256 of the software's bill of materials", data.get("software_bill"), None),
            ],
        )
