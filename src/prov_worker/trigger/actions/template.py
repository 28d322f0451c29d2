"""The input of a flow or function for a folder: a Jinja template of JSON.

Variables are ``path``, ``name``, ``files``, ``bytes``, ``seen``, ``settled``, ``key``, and what ``--set`` gives. A text
that stands within quotes is escaped as JSON wants it, so that no name of a folder can break out; ``| tojson`` gives it
with quotes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prov_worker.crate.json_text import utc
from prov_worker.errors import InputError, MissingExtraError
from prov_worker.flow import source
from prov_worker.printable import line
from prov_worker.trigger.actions.action import ActionError
from prov_worker.trigger.watcher import Settled

#: What a folder gives.
NAMES = ("path", "name", "files", "bytes", "seen", "settled", "key")


class Template:
    """A template that was read.

    Args:
        path: of the file.
        values: what ``--set`` gives.

    Raises:
        InputError: it cannot be read, is not a template, or has a variable that nothing gives; it is named.
        MissingExtraError: jinja2 is not installed.
    """

    def __init__(self, path: Path, values: Mapping[str, str] | None = None) -> None:
        try:
            import jinja2
            from jinja2 import meta

            from prov_worker.trigger.actions.bounded import BoundedEnvironment
        except ImportError as error:
            raise MissingExtraError("a template of an input needs jinja2", "flow", error) from error
        self._path, self._values = path, dict(values or {})
        environment = BoundedEnvironment(undefined=jinja2.StrictUndefined, finalize=_escaped)
        try:
            text = path.read_text(encoding="utf-8")
            tree = environment.parse(text)
            self._template = environment.from_string(text)
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: cannot be read: {error}") from None
        except jinja2.TemplateSyntaxError as error:
            raise InputError(f"{path}:{error.lineno}: not a template: {error.message}") from None
        missing = sorted(meta.find_undeclared_variables(tree).difference(NAMES, self._values))
        if missing:
            raise InputError(
                f"{path}: nothing gives {', '.join(missing)}; write the value, or --set {missing[0]}=VALUE"
            )

    def render(self, folder: Settled, key: str) -> dict[str, Any]:
        """Return the input for a folder.

        Raises:
            ActionError: the result is not JSON, or not an object.
        """
        from prov_worker.trigger.actions.bounded import render

        values = {
            "path": str(folder.path),
            "name": folder.name,
            "files": folder.files,
            "bytes": folder.size_bytes,
            "seen": utc(folder.seen_ns),
            "settled": utc(folder.settled_ns),
            "key": key,
        }
        try:
            text = render(self._template, {**values, **self._values})
            value = source.parse(text.encode(), str(self._path.with_suffix(""))).value
        except Exception as error:  # of jinja2, of JSON, and whatever an expression of the template raises
            raise ActionError(f"{self._path}: gives no input: {line(error)}") from None
        if not isinstance(value, dict):
            raise ActionError(f"{self._path}: gives no object")
        return value


def _escaped(value: Any) -> Any:
    """Escape text for a place within quotes; what ``tojson`` made is left as it is."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return json.dumps(value)[1:-1]
    return value
