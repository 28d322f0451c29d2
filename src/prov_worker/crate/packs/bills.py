"""Bills of materials go along with crates that go to another directory."""

from __future__ import annotations

import os
from pathlib import Path

from prov_worker.crate.bill_places import bill_directories, write_bill
from prov_worker.crate.bounds import MAX_BILL_BYTES
from prov_worker.crate.sources.bills import is_bill
from prov_worker.files import read_regular


def copy_bills(directory: Path, target: Path) -> None:
    """Copy the bills beside the crates of one directory to those of another; what is not a bill by its name stays.

    Raises:
        OSError: the target cannot be written.
    """
    if directory.resolve() == target.resolve():
        return
    for source in map(Path, bill_directories(directory)):
        try:
            names = sorted(os.listdir(source))
        except OSError:
            continue  # another user's, closed to others
        for name in names:
            try:
                data = read_regular(source / name, MAX_BILL_BYTES)
            except OSError:
                continue
            if is_bill(name, data):
                write_bill(target, name, data)
