"""Flows of a service, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prov_worker.localservice.flows.actions import directories
from prov_worker.localservice.flows.actions.compute import ComputeProvider
from prov_worker.localservice.flows.actions.directories import DirectoryProvider
from prov_worker.localservice.flows.actions.hello import HelloProvider
from prov_worker.localservice.flows.actions.provider import Provider
from prov_worker.localservice.flows.actions.transfer import TransferProvider
from prov_worker.localservice.flows.catalogue import Catalogue
from prov_worker.localservice.flows.collections import Collections
from prov_worker.localservice.flows.driver import Driver
from prov_worker.localservice.sqlite.flows import FlowStore

if TYPE_CHECKING:
    from prov_worker.localservice.service import Service

_TRANSFER = ("https://transfer.actions.globus.org", "https://actions.globus.org/transfer")
_OLD_TRANSFER = "https://actions.automate.globus.org/transfer"
_COMPUTE = "https://compute.actions.globus.org"


class Rehearsal:
    """Flows, their runs and actions.

    Args:
        service: whose endpoints run tasks.
        store: what is durable.
        collections: between which files are copied.
        limit_kib: KiB per second of each copy; 0 for as fast as it goes.
    """

    def __init__(self, service: Service, store: FlowStore, collections: Collections, limit_kib: int = 0) -> None:
        self._transfers = TransferProvider(collections, self._wake, limit_kib)
        providers: dict[str, Provider] = {
            f"{_COMPUTE}/v3": ComputeProvider(service, 3),
            "https://actions.globus.org/hello_world": HelloProvider(),
        }
        for address in (_COMPUTE, f"{_COMPUTE}/v2", f"{_COMPUTE}/fxap"):
            providers[address] = ComputeProvider(service, 2)
        for prefix in (*_TRANSFER, _OLD_TRANSFER):
            providers[f"{prefix}/transfer"] = self._transfers
            for name, work in (
                ("mkdir", directories.make_directory),
                ("ls", directories.list_directory),
                ("stat", directories.describe),
                ("delete", directories.delete),
            ):
                providers[f"{prefix}/{name}"] = DirectoryProvider(collections, work)
        self.driver = Driver(store, service.identities, providers)
        self.catalogue = Catalogue(store, self._wake, self.driver.forget)

    def _wake(self) -> None:
        self.driver.wake()

    def start(self) -> None:
        """Begin: runs that were under way go on."""
        self.driver.start()

    def stop(self) -> None:
        """End; runs that are under way go on when the service does."""
        self.driver.stop()
        self._transfers.stop()
