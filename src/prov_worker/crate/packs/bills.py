"""Bills of materials go along with crates that go to another directory."""

from __future__ import annotations

import os
from pathlib import Path

from prov_worker.crate import vocabulary as v
from prov_worker.crate.bounds import MAX_BILL_BYTES
from prov_worker.crate.sources.bills import is_bill
from prov_worker.files import read_regular, write_file


def copy_bills(directory: Path, target: Path) -> None:
    """Copy the bills beside the crates of one directory to those of another; what is not a bill by its name stays.

    Raises:
        OSError: the target cannot be written.
    """
    source, place = directory / v.SOFTWARE_DIR, target / v.SOFTWARE_DIR
    if not source.is_dir() or source.resolve() == place.resolve():
        return
    for name in sorted(os.listdir(source)):
        try:
            data = read_regular(source / name, MAX_BILL_BYTES)
        except OSError:
            continue
        if is_bill(name, data) and not (place / name).exists():
            place.mkdir(exist_ok=True)
            write_file(place / name, data)
