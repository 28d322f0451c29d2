"""Step crates of a run that go from packs into its zip as they are stored: neither unpacked nor deflated again."""

from __future__ import annotations

from pathlib import Path

from prov_worker.crate import vocabulary as v
from prov_worker.crate.packs.format import Packed, dos_time
from prov_worker.crate.packs.raw import RawZip
from prov_worker.crate.sources import PackSource
from prov_worker.crate.sources.packs import PackFile
from prov_worker.errors import CrateError


class StoredCrates:
    """Crates that were looked at, by the keys under which the run has them. Packs are not kept open for that."""

    def __init__(self) -> None:
        self._places: dict[str, tuple[Path, str, tuple[int, int]]] = {}

    def add(self, key: str, source: PackSource) -> None:
        """Note a crate.

        Args:
            key: its key in the run.
            source: where it lies.
        """
        info = source.member(v.METADATA_FILE)
        self._places[key] = (source.path, source.prefix.rstrip("/"), (info.file_size, info.CRC))

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
        for key, (path, _, _) in self._places.items():
            by_pack.setdefault(path, []).append(key)
        for path, keys in by_pack.items():
            pack = PackFile(path)
            for key in keys:
                _, crate, metadata = self._places[key]
                source = pack.source(crate)
                if source is None or pack.metadata(crate) != metadata:
                    raise CrateError(f"{path}!{crate}", "is gone, or another one, since it was looked at")
                for relative in source.names():
                    info, data = source.stored(relative)
                    packed = Packed(info.compress_type, info.CRC, info.file_size, data)
                    archive.add(f"{v.step_id(key)}{relative}", packed, dos_time(0))
