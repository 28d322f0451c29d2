"""Flows, Transfer and Timers of a service, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prov_worker.localservice.flows.actions import directories
from prov_worker.localservice.flows.actions.compute import ComputeProvider
from prov_worker.localservice.flows.actions.directories import DirectoryProvider
from prov_worker.localservice.flows.actions.hello import HelloProvider
from prov_worker.localservice.flows.actions.person import PersonProvider
from prov_worker.localservice.flows.actions.provider import Provider
from prov_worker.localservice.flows.actions.transfer import TransferProvider
from prov_worker.localservice.flows.catalogue import Catalogue
from prov_worker.localservice.flows.driver import Driver
from prov_worker.localservice.storage import Storage
from prov_worker.localservice.timers.calls import Calls
from prov_worker.localservice.timers.timers import Timers
from prov_worker.localservice.transfers.collections import Collections
from prov_worker.localservice.transfers.records import DELETE, TRANSFER
from prov_worker.localservice.transfers.transfers import Transfers

if TYPE_CHECKING:
    from prov_worker.localservice.service import Service

_TRANSFER = ("https://transfer.actions.globus.org", "https://actions.globus.org/transfer")
_OLD_TRANSFER = "https://actions.automate.globus.org/transfer"
_COMPUTE = "https://compute.actions.globus.org"
_PERSON = ("https://actions.globus.org", "https://actions.automate.globus.org")


class Rehearsal:
    """Flows, their runs and actions; Transfer and its tasks; timers.

    Args:
        service: whose endpoints run tasks.
        storage: what is durable.
        collections: between which files are copied.
        limit_kib: KiB per second of each copy; 0 for as fast as it goes.
    """

    def __init__(self, service: Service, storage: Storage, collections: Collections, limit_kib: int = 0) -> None:
        store = storage.flow_store()
        self.transfers = Transfers(storage.transfer_store(), collections, self._wake, limit_kib)
        self.people = PersonProvider(storage.choice_store(), self._wake)
        providers: dict[str, Provider] = {
            f"{_COMPUTE}/v3": ComputeProvider(service, 3),
            "https://actions.globus.org/hello_world": HelloProvider(),
        }
        for prefix in _PERSON:
            providers[f"{prefix}/weboption/wait_for_option"] = self.people
        for address in (_COMPUTE, f"{_COMPUTE}/v2", f"{_COMPUTE}/fxap"):
            providers[address] = ComputeProvider(service, 2)
        for prefix in (*_TRANSFER, _OLD_TRANSFER):
            providers[f"{prefix}/transfer"] = TransferProvider(self.transfers, TRANSFER)
            providers[f"{prefix}/delete"] = TransferProvider(self.transfers, DELETE)
            for name, work in (
                ("mkdir", directories.make_directory),
                ("ls", directories.list_directory),
                ("stat", directories.describe),
            ):
                providers[f"{prefix}/{name}"] = DirectoryProvider(collections, work)
        self.driver = Driver(store, service.identities, providers)
        self.catalogue = Catalogue(store, self._wake, self.driver.forget)
        calls = Calls(self.transfers, self.catalogue, store)
        self.timers = Timers(storage.timer_store(), service.identities, calls)

    def _wake(self) -> None:
        self.driver.wake()

    def start(self) -> None:
        """Begin: what was under way goes on."""
        self.transfers.start()
        self.driver.start()
        self.timers.start()

    def stop(self) -> None:
        """End; what is under way goes on when the service does."""
        self.timers.stop()
        self.driver.stop()
        self.transfers.stop()
