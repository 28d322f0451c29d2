"""Databases that an assembly keeps what it read in."""

from __future__ import annotations

import sqlite3

import pytest

from prov_worker.run.assembly.staging import temporary_database
from support.databases import all_closed


def test_a_database_whose_tables_cannot_be_made_is_closed() -> None:
    with all_closed(), pytest.raises(sqlite3.OperationalError, match="incomplete input"):
        temporary_database("CREATE TABLE")
