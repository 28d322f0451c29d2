"""What runs on workers: modules whose source is sent, joined into one function.

Each imports the standard library alone, at its head, and runs on Python 3.8: a site's worker has what it has. They do
not import each other; names at their heads are unique among all of them.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Final

#: Name of the function that is called, in the last module.
ENTRY: Final = "prov_worker_diagnose"
MODULES: Final = ("environment", "placement", "gpu", "launcher", "crates", "dispatch")
_FUTURE: Final = "from __future__ import annotations\n"


def source() -> str:
    """Return the text of all modules as one."""
    texts = [inspect.getsource(importlib.import_module(f"{__name__}.{name}")) for name in MODULES]
    return _FUTURE + "\n\n".join(text.replace(_FUTURE, "") for text in texts)
