"""Globus Transfer's actions that are tasks: copies and deletions.

Source: https://docs.globus.org/api/transfer/action-providers/.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from prov_worker.localservice.flows.actions.provider import ConsentError, Request, SessionError, Status, UnableError
from prov_worker.localservice.flows.scopes import data_access, policy_of
from prov_worker.localservice.transfers import documents, submission
from prov_worker.localservice.transfers.errors import TransferError
from prov_worker.localservice.transfers.records import ACTIVE, SUCCEEDED
from prov_worker.localservice.transfers.transfers import Transfers, ends_of


class TransferProvider:
    """Submits a task under the action's id, and looks how it is.

    Args:
        transfers: of the service.
        kind: ``TRANSFER`` or ``DELETE``.
    """

    def __init__(self, transfers: Transfers, kind: str) -> None:
        self._transfers, self._kind = transfers, kind

    def prepare(self, request: Request) -> dict[str, Any]:
        """See :class:`Provider`."""
        try:
            content, _ = submission.checked(request.body, self._kind, time.time())
            collections = [self._transfers.collection(end, request.identity) for end in ends_of(content)]
        except TransferError as error:
            raise UnableError(error.reason) from None
        for collection in collections:
            if collection.data_access and data_access(collection.id) not in request.consents:
                raise ConsentError(data_access(collection.id), f"{collection.name} needs the consent data_access")
            if collection.high_assurance and not request.fresh_login:
                reason = f"{collection.name} has high assurance: it needs a login since the run began"
                raise SessionError(policy_of(collection.id), reason)
        return {}

    def look(self, request: Request, note: Mapping[str, Any]) -> Status | None:
        """See :class:`Provider`: a task that a restart has cut off goes on by itself."""
        task = self._transfers.store.task(request.id)
        if task is None:
            try:
                task, _ = self._transfers.submit(request.identity, self._kind, request.body, request.id)
            except TransferError as error:
                raise UnableError(error.reason) from None
        if task.status == ACTIVE:
            return None
        details = documents.task_document(task, request.identity, self._transfers.collections)
        return Status(task.status == SUCCEEDED, details, task.id)

    def cancel(self, request: Request) -> None:
        """See :class:`Provider`."""
        task = self._transfers.store.task(request.id)
        if task is not None:
            self._transfers.cancel(task)
