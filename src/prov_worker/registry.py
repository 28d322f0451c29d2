"""Registries: things of one kind by name, each of which registers itself in its own module.

To add a thing is to add a module to the registry's package: modules are found by listing it, and imported when somebody
first asks for what they register. Standard library only: workers import this module.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator
from typing import Generic, TypeVar

import prov_worker

T = TypeVar("T")


class Registry(Generic[T]):
    """Things of one kind, in the order of their ranks, then of their names.

    Args:
        package: dotted name of the package whose modules call :meth:`add`.
        named: whether each module of the package has the name of the one thing that it registers. Names are then known
            without any import, and a module is imported only if its thing is asked for.
    """

    def __init__(self, package: str, *, named: bool = False) -> None:
        self._package = package
        self._named = named
        self._entries: dict[str, tuple[T, int, bool]] = {}
        self._loaded = False

    def add(self, name: str, thing: T, *, rank: int = 0, default: bool = True) -> None:
        """Register a thing; one that has the name already is replaced.

        Args:
            name: unique in the registry.
            thing: what is registered.
            rank: things of lower rank come first.
            default: whether it is used if nobody chooses.
        """
        self._entries[name] = (thing, rank, default)

    @contextlib.contextmanager
    def temporary(self, name: str, thing: T, *, rank: int = 0, default: bool = True) -> Iterator[None]:
        """Register a thing as :meth:`add` does, for the length of a ``with`` statement: for tests."""
        self._load()
        before = self._entries.get(name)
        self.add(name, thing, rank=rank, default=default)
        try:
            yield
        finally:
            del self._entries[name]
            if before is not None:
                self._entries[name] = before

    def names(self) -> tuple[str, ...]:
        """Return all names: sorted if ``named``, without an import; else in order."""
        if self._named:
            return tuple(sorted({*self._entries, *_modules(self._package)}))
        return tuple(name for name, _ in self.items())

    def default_names(self) -> tuple[str, ...]:
        """Return the names of the things that are used if nobody chooses, in order."""
        return tuple(name for name, _ in self.items() if self._entries[name][2])

    def items(self) -> list[tuple[str, T]]:
        """Return all names and things, in order."""
        self._load()
        ordered = sorted(self._entries.items(), key=lambda item: (item[1][1], item[0]))
        return [(name, entry[0]) for name, entry in ordered]

    def __iter__(self) -> Iterator[T]:
        return iter([thing for _, thing in self.items()])

    def __len__(self) -> int:
        return len(self.items())

    def __contains__(self, name: object) -> bool:
        return name in self._entries or name in self.names()

    def __getitem__(self, name: str) -> T:
        """Return one thing.

        Raises:
            KeyError: nothing of that name is registered.
            ImportError: its module cannot be imported.
        """
        if name not in self._entries:
            if not self._named:
                self._load()
            elif name in _modules(self._package):
                importlib.import_module(f"{self._package}.{name}")
        return self._entries[name][0]

    def _load(self) -> None:
        if not self._loaded:
            for module in _modules(self._package):
                importlib.import_module(f"{self._package}.{module}")
            self._loaded = True


def _modules(package: str) -> list[str]:
    """Return the names of a package's modules, sorted, without importing it."""
    relative = package.split(".")[1:]
    names: set[str] = set()
    for root in prov_worker.__path__:
        directory = os.path.join(root, *relative)
        try:
            entries = os.listdir(directory)
        except OSError:
            import pkgutil  # the package lies in a zip file: rare, and this import takes 2 ms

            entries = [f"{module.name}.py" for module in pkgutil.iter_modules([directory])]
        names.update(entry[:-3] for entry in entries if entry.endswith(".py") and entry[:-3].isidentifier())
    return sorted(names - {"__init__"})
