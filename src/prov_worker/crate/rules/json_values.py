"""Values that are not JSON."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from fnmatch import fnmatch

from prov_worker.crate import vocabulary as v
from prov_worker.crate.graph import read_json
from prov_worker.crate.rules import RULES, Checked
from prov_worker.crate.violations import ERROR, Violation
from prov_worker.errors import CrateError


def only_json(crate: Checked) -> Iterator[Violation]:
    """Refuse NaN and infinities: not JSON, though many parsers take them. In the data files as well."""
    data = (name for name in crate.source.names() if fnmatch(name, f"{v.DATA_DIR}/*.json"))
    for relative in (v.METADATA_FILE, *sorted(data)):
        name, constants = posixpath.basename(relative), set[str]()
        try:
            read_json(crate.source, relative, constants.add)
        except CrateError as error:
            yield Violation(ERROR, "unreadable", name, error.reason)
        for constant in sorted(constants):
            yield Violation(ERROR, "not-json", name, f"{constant} is not a JSON value")


RULES.add("json-constants", only_json)
