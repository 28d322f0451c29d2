"""The sites that are known: their options, as JSON schemas, and their templates."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prov_worker import schedulers
from prov_worker.errors import InputError
from prov_worker.schedulers import Scheduler

SHARED = "shared"
TEMPLATE = "user_config_template.yaml.j2"
_PROVIDER = re.compile(r"^ *provider:\n *type: (\w+)$", re.MULTILINE)
_INCLUDE = re.compile(r'^\{% include "([a-z_.0-9]+)" %\}\n', re.MULTILINE)


def directory() -> Path:
    """Return where the sites lie: in an installed package beside this one, in a checkout at its top.

    Raises:
        InputError: in neither.
    """
    package = Path(__file__).resolve().parents[1]
    for configs in (package / "endpoint_configs", package.parents[1] / "endpoint_configs"):
        if (configs / SHARED).is_dir():
            return configs
    raise InputError(f"{package / 'endpoint_configs'}: the templates of sites are not installed")


def names() -> list[str]:
    """Return names of all sites."""
    return sorted(path.parent.name for path in directory().glob(f"*/{TEMPLATE}"))


@dataclass(frozen=True, slots=True)
class Site:
    """One site.

    Attributes:
        name: as in commands.
        title: for people.
        options: by name, a JSON schema each; ``default`` is missing if a person has to say.
        template: of user endpoints, in one piece, without the options' defaults.
        fixed: what the template says by itself: ``what``, ``value`` and ``source`` of each.
        cores: of a node; logical CPUs that differ by a multiple of it are threads of one core. 0 if not known.
        cpus: logical CPUs of a node; 0 if not known.
        cores_source: where these two come from.
        login: what to know of the site's login nodes before something long begins there; empty.
        queues: documented limits by name: ``nodes`` (least and most) and ``walltime`` (most), as far as known.
        recipe: how to get from nothing to a first task; see :mod:`prov_worker.sites.recipe`.
    """

    name: str
    title: str
    options: dict[str, dict[str, Any]]
    template: str
    fixed: tuple[dict[str, str], ...] = ()
    cores: int = 0
    cpus: int = 0
    cores_source: str = ""
    queues: dict[str, dict[str, Any]] = field(default_factory=dict)
    login: str = ""
    recipe: dict[str, Any] = field(default_factory=dict)

    @property
    def scheduler(self) -> Scheduler | None:
        """The scheduler that its provider submits to; None if it uses none."""
        provider = _PROVIDER.search(self.template)
        return None if provider is None else schedulers.for_provider(provider[1])

    @property
    def node(self) -> str:
        """A node's CPUs, in words."""
        return f"{self.cores} cores, {self.cpus} logical CPUs; i and i + {self.cores} are threads of one core"

    def schema(self, values: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return JSON schema (draft 2020-12) of what a client may ask for, in the form of ``user_config_schema.json``.

        Args:
            values: options that are set; they take the place of defaults.
        """
        properties = {}
        for name, option in self.options.items():
            if option.get("daemon"):
                continue
            properties[name] = {**option, "default": values[name]} if values and name in values else dict(option)
        schema: dict[str, Any] = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": f"Options of an endpoint on {self.title}",
            "type": "object",
            "properties": properties,
            "additionalProperties": False,
        }
        required = [name for name, option in properties.items() if "default" not in option]
        if required:
            schema["required"] = required
        if self.cpus:
            # Parsl's workers end, and each block with them, if one that is to be bound has no CPU.
            condition = {"properties": {"affinity": {"const": "none"}}, "required": ["affinity"]}
            bound: dict[str, Any] = {"not": condition}
            if properties["affinity"]["default"] == "none":
                bound = {"properties": {"affinity": {"not": {"const": "none"}}}, "required": ["affinity"]}
            schema |= {"if": bound, "then": {"properties": {"workers": {"maximum": self.cpus}}}}
        return schema


def site(name: str) -> Site:
    """Return a site by its name.

    Raises:
        InputError: there is none of that name.
    """
    import yaml

    sites = names()
    if name not in sites:
        raise InputError(f"{name}: no such site; known are {', '.join(sites)}")
    top = directory()
    own = yaml.safe_load((top / name / "options.yaml").read_text(encoding="utf-8"))
    common = yaml.safe_load((top / SHARED / "options.yaml").read_text(encoding="utf-8"))
    left_out = own.get("except", [])
    options = {key: option for key, option in common.items() if key not in left_out}
    for key, option in own["options"].items():
        options[key] = {**options.get(key, {}), **option}
    text = (top / name / TEMPLATE).read_text(encoding="utf-8")
    while _INCLUDE.search(text):
        text = _INCLUDE.sub(lambda match: (top / SHARED / match[1]).read_text(encoding="utf-8"), text)
    node = own.get("node", {})
    return Site(
        name,
        own["title"],
        dict(sorted(options.items())),
        text,
        tuple(own.get("fixed", ())),
        node.get("cores", 0),
        node.get("cpus", 0),
        node.get("source", ""),
        own.get("queues", {}),
        own.get("login", ""),
        own.get("recipe", {}),
    )
