"""Directories that stand for collections in the stack's containers."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

#: Collections of the stack, by the names of their directories.
COLLECTIONS = {name: str(uuid.uuid5(uuid.NAMESPACE_DNS, name)) for name in ("beam", "home")}


def write_collections(folder: Path) -> None:
    """Make collections as their containers see them: writable by whoever runs these."""
    folder.chmod(0o755)
    for name in COLLECTIONS:
        (folder / name).mkdir()
        (folder / name).chmod(0o777)
    entries = [{"id": key, "path": f"/collections/{name}", "name": name} for name, key in COLLECTIONS.items()]
    (folder / "collections.json").write_text(json.dumps(entries))
