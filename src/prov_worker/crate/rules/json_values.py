"""Values that are not JSON."""

from __future__ import annotations

from collections.abc import Iterator

from prov_worker.crate import vocabulary as v
from prov_worker.crate.findings import ERROR, Finding
from prov_worker.crate.reader import read_json
from prov_worker.crate.rules import RULES, Checked
from prov_worker.errors import CrateError


def constants(crate: Checked) -> Iterator[Finding]:
    """Refuse NaN and infinities: not JSON, though many parsers take them. In the data files as well."""
    for file in [crate.path / v.METADATA_FILE, *sorted((crate.path / "data").glob("*.json"))]:
        names: list[str] = []
        try:
            read_json(file, names.append)
        except CrateError as error:
            yield Finding(ERROR, "unreadable", file.name, error.reason)
        for name in sorted(set(names)):
            yield Finding(ERROR, "not-json", file.name, f"{name} is no JSON value")


RULES.add("json-constants", constants)
