"""What is in an index; DuckDB is asked, which a module of tests needs to have first."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def keys(path: Path, **filters: Any) -> list[str]:
    """Numbers of the tasks that filters leave."""
    from prov_worker.run.index.query import Index
    from prov_worker.run.selection import Filters

    with Index(path) as opened:
        return [
            row[0].partition("-8000-")[2].lstrip("0") or "0" for row in opened.ask(Filters(**filters), ["key"]).rows
        ]


def everything(path: Path) -> dict[str, list[Any]]:
    """All rows of all tables."""
    from prov_worker.run.index.query import Index
    from prov_worker.run.index.tables import TABLES

    with Index(path) as opened:
        return {table: sorted(map(repr, opened.sql(f"SELECT * FROM {table}").rows)) for table in TABLES}
