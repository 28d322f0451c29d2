"""Step crates of a run that go from packs into its zip as they are stored: neither unpacked nor deflated again."""

from __future__ import annotations

from pathlib import Path

from prov_worker.crate import vocabulary as v
from prov_worker.crate.packs.format import Packed, dos_time
from prov_worker.crate.packs.raw import RawZip
from prov_worker.crate.sources.packs import PackFile
from prov_worker.errors import CrateError
from prov_worker.run.assembly.examined import Stored


class StoredCrates:
    """Crates that were looked at, by the keys under which the run has them. Packs are not kept open for that."""

    def __init__(self) -> None:
        self._places: dict[str, Stored] = {}

    def add(self, key: str, stored: Stored) -> None:
        """Note a crate.

        Args:
            key: its key in the run.
            stored: where it lies.
        """
        self._places[key] = stored

    def rename(self, old: str, new: str) -> bool:
        """Give a crate another key; return whether it is one of these."""
        place = self._places.pop(old, None)
        if place is not None:
            self._places[new] = place
        return place is not None

    def copy_to(self, archive: RawZip) -> None:
        """Copy all of them, pack by pack.

        Raises:
            CrateError: one is there no more.
        """
        by_pack: dict[Path, list[str]] = {}
        for key, stored in self._places.items():
            by_pack.setdefault(stored.path, []).append(key)
        for path, keys in by_pack.items():
            pack = PackFile(path)
            for key in keys:
                stored = self._places[key]
                source = pack.source(stored.crate)
                if source is None or pack.metadata(stored.crate) != stored.metadata:
                    raise CrateError(f"{path}!{stored.crate}", "is gone, or another one, since it was looked at")
                for relative in source.names():
                    info, data = source.stored(relative)
                    packed = Packed(info.compress_type, info.CRC, info.file_size, data)
                    archive.add(f"{v.step_id(key)}{relative}", packed, dos_time(0))
