"""The setting ``capture``: what is recorded of the libraries that tasks use.

Standard library only: workers import this module.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from prov_worker.errors import BelowError

#: What a variable says for true and for false, in any case.
TRUE = ("1", "true", "yes", "on")
FALSE = ("0", "false", "no", "off")
#: Values of ``torch``.
STEPS, LAYERS, OFF = "steps", "layers", "off"
_TORCH = (STEPS, LAYERS, OFF)


class Capture(NamedTuple):
    """What is recorded of each library; see ``docs/capture.md``.

    Attributes:
        dask: each Dask task is a step.
        mlflow: MLflow runs that a task made.
        tensorboard: event files in a task's sandbox; or directories, absolute paths, that are looked through as well.
        torch: ``steps`` of optimizers, also calls of ``layers``, or ``off``.
        parsl: each Parsl app is a step.
    """

    dask: bool = True
    mlflow: bool = True
    tensorboard: bool | tuple[str, ...] = True
    torch: str = STEPS
    parsl: bool = True

    def to_mapping(self) -> dict[str, Any]:
        """Return the libraries that do not stand at their default, as :func:`check` reads them."""
        mapping = {}
        for library, value in self._asdict().items():
            if value != self._field_defaults[library]:
                mapping[library] = list(value) if isinstance(value, tuple) else value
        return mapping


#: Nothing of any library.
NOTHING = Capture(dask=False, mlflow=False, tensorboard=False, torch=OFF, parsl=False)


def truth(text: str) -> bool | None:
    """Return the truth that a text names; None if it names none."""
    word = text.strip().lower()
    return True if word in TRUE else False if word in FALSE else None


def pairs(text: str) -> Iterator[tuple[str, str]]:
    """Return the names and values of ``name=value,name=value``.

    Raises:
        ValueError: there is no value, or a name stands there twice.
    """
    names = set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = (word.strip() for word in part.partition("="))
        if not equals:
            raise ValueError(f"expected name=value pairs, got {part!r}")
        if name in names:
            raise BelowError(name, "given twice")
        names.add(name)
        yield name, value


def parse(text: str) -> bool | dict[str, Any]:
    """Return what ``dask=off,torch=layers,tensorboard=/a:/b`` or ``off`` says, for :func:`check`."""
    everything = truth(text)
    if everything is not None:
        return everything
    values: dict[str, Any] = {}
    for name, value in pairs(text):
        if name == "tensorboard" and value.startswith("/"):
            values[name] = [path for path in value.split(":") if path]
        elif name == "torch" and value in _TORCH:
            values[name] = value
        else:
            chosen = truth(value)
            values[name] = value if chosen is None else chosen
    return values


def check(value: Any) -> Capture:
    """Check and take what YAML gives.

    Raises:
        ValueError: it is not a mapping of libraries, or a value is not allowed.
    """
    if isinstance(value, bool):
        return Capture() if value else NOTHING
    if not isinstance(value, Mapping):
        raise ValueError(f"expected a mapping of libraries, true or false; got {value!r}")
    names = Capture._fields
    checked: dict[str, Any] = {}
    for name, choice in value.items():
        if name not in names:
            raise BelowError(str(name), f"unknown library; known are {', '.join(names)}")
        if choice is None:
            continue
        if name == "torch":
            choice = {True: STEPS, False: OFF}.get(choice, choice) if isinstance(choice, bool) else choice
            if choice not in _TORCH:
                raise BelowError(name, f"expected one of {', '.join(_TORCH)}; got {choice!r}")
        elif name == "tensorboard" and isinstance(choice, (list, tuple)):
            choice = tuple(dict.fromkeys(map(_directory, choice)))
        elif not isinstance(choice, bool):
            more = " or a list of absolute paths" if name == "tensorboard" else ""
            raise BelowError(name, f"expected true or false{more}; got {choice!r}")
        checked[name] = choice
    return Capture(**checked)


def _directory(path: Any) -> str:
    if not isinstance(path, str) or not os.path.isabs(path) or "\0" in path or "\n" in path:
        raise BelowError("tensorboard", f"expected absolute paths; got {path!r}")
    return os.path.normpath(path)
