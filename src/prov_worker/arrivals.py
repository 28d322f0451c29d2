"""Acting on modules of other libraries once they are imported, without importing them.

Every interpreter under ``PROV_WORKER=1`` loads this module: it imports nothing that is not there already.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

#: On a constructor that waits for its first call.
_MARK = "_prov_worker_waits"

_actions: dict[str, Callable[[ModuleType], Any]] = {}


class _Finder:
    """Finds nothing by itself: lets the other finders find, and has an action run after the module's own code."""

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        action = _actions.get(fullname)
        if action is None:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec = None if finder is cls or find is None else find(fullname, path, target)
            if spec is not None:
                _act_after(spec, action)
                return spec  # type: ignore[no-any-return]
        return None


def _act_after(spec: ModuleSpec, action: Callable[[ModuleType], Any]) -> None:
    """Change this one loader object, so that everything else about the module stays as Python made it."""
    loader = spec.loader
    if loader is None:
        return
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        execute(module)
        action(module)

    try:
        loader.exec_module = exec_module  # type: ignore[method-assign]
    except AttributeError:
        import logging

        logging.getLogger(__name__).warning("prov_worker could not hook into %s", spec.name)


def when_imported(name: str, action: Callable[[ModuleType], Any]) -> None:
    """Have a module acted on: at once if it is loaded, else right after its own code has run.

    Args:
        name: of the module.
        action: takes the module; must not raise.
    """
    _actions[name] = action
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)
    module = sys.modules.get(name)
    # A module that is being imported at this moment is in sys.modules too: the finder has it, or nobody can.
    if module is not None and not getattr(module.__spec__, "_initializing", False):
        action(module)


def before_first(name: str, kind: str, action: Callable[[ModuleType], Any]) -> None:
    """Have a module acted on just before the first object of one of its classes is made.

    For a library that is imported by many who do not use it.

    Args:
        name: of the module.
        kind: name of the class.
        action: takes the module; must not raise.
    """

    def wait(module: ModuleType) -> None:
        made = getattr(module, kind, None)
        stock = getattr(made, "__init__", None)
        if made is None or stock is None or hasattr(stock, _MARK):
            return

        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
            if made.__init__ is __init__:
                made.__init__ = stock
                action(module)
            stock(self, *args, **kwargs)

        setattr(__init__, _MARK, True)
        made.__init__ = __init__

    when_imported(name, wait)
