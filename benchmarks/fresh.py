"""``python -m benchmarks.fresh MODULE:FUNCTION ARGUMENTS ANSWER``: one call in an interpreter of its own."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path


def main(target: str, arguments: str, answer: str) -> None:
    module, _, name = target.partition(":")
    result = getattr(importlib.import_module(module), name)(**json.loads(arguments))
    Path(answer).write_text(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
