"""What timers begin: transfers, and runs of flows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prov_worker.localservice.apierrors import ApiError
from prov_worker.localservice.flows import documents as flow_documents
from prov_worker.localservice.flows import scopes
from prov_worker.localservice.flows.catalogue import Catalogue
from prov_worker.localservice.flows.errors import FlowsError
from prov_worker.localservice.identities import Identity
from prov_worker.localservice.sqlite.flows import FlowStore
from prov_worker.localservice.timers.errors import TimersError, invalid
from prov_worker.localservice.timers.records import TRANSFER, Timer
from prov_worker.localservice.transfers import documents, records, submission
from prov_worker.localservice.transfers.transfers import Transfers, ends_of

_MOST_LABEL = {"transfer": 128, "flow": 64}


class ConsentNeededError(Exception):
    """A consent is missing.

    Args:
        scope: that is needed, with those that depend on it.
    """

    def __init__(self, scope: str) -> None:
        super().__init__(scope)
        self.document: dict[str, Any] = {
            "code": "ConsentRequired",
            "authorization_parameters": {
                "session_message": "Missing required consent",
                "required_scopes": [scope],
            },
        }


class Calls:
    """Begins what a timer is for.

    Args:
        transfers: tasks of Transfer.
        catalogue: flows and their runs.
        store: what is durable of flows: consents.
    """

    def __init__(self, transfers: Transfers, catalogue: Catalogue, store: FlowStore) -> None:
        self._transfers, self._catalogue, self._store = transfers, catalogue, store

    def check(self, identity: Identity, timer: Timer, now: float) -> None:
        """Refuse a timer that could not begin anything.

        Raises:
            TimersError: 422, 403.
            ConsentNeededError: its owner has not consented.
        """
        try:
            if timer.kind == TRANSFER:
                submission.checked(timer.body, records.TRANSFER, now)
            else:
                self._catalogue.validate_run(identity, str(timer.flow), timer.body)
        except FlowsError as error:
            if error.status == 400 or error.status == 422:
                raise invalid("timer.body", error.reason) from None
            raise TimersError(error.status, error.code, error.reason) from None
        except ApiError as error:
            raise invalid("timer.body", error.reason) from None
        self._need_consents(identity, timer, now)

    def _need_consents(self, identity: Identity, timer: Timer, now: float) -> None:
        given = [
            scope for scope in self._store.consents(identity.client_id) if scopes.root(scope) == scopes.TIMERS_SCOPE
        ]
        if timer.kind == TRANSFER:
            content, _ = submission.checked(timer.body, records.TRANSFER, now)
            try:
                ends = [self._transfers.collection(end, identity) for end in ends_of(content)]
            except ApiError as error:
                raise TimersError(error.status, error.code, error.reason) from None
            mapped = [scopes.data_access(collection.id) for collection in ends if collection.data_access]
            needed = {scope: f"{scopes.TIMERS_SCOPE}[{scopes.TRANSFER_SCOPE}[*{scope}]]" for scope in mapped}
        else:
            scope = scopes.flow_scope(str(timer.flow))
            needed = {scope: f"{scopes.TIMERS_SCOPE}[{scope}]"}
        for scope, whole in needed.items():
            if not any(scope in consent for consent in given):
                raise ConsentNeededError(whole)

    def begin(self, identity: Identity, timer: Timer, call_id: str, now: float) -> None:
        """Begin a run; under one id, once.

        Raises:
            ConsentNeededError: its owner has not consented.
            ApiError: it cannot be begun.
        """
        self._need_consents(identity, timer, now)
        number = f", run {timer.runs + 1}"
        label = " ".join(str(timer.body.get("label") or timer.name).split())
        body = {**timer.body, "label": label[: _MOST_LABEL[timer.kind] - len(number)] + number if label else None}
        if timer.kind == TRANSFER:
            self._transfers.submit(identity, records.TRANSFER, {**body, "submission_id": call_id}, call_id)
        else:
            self._catalogue.start(identity, str(timer.flow), body, call_id)

    def shown(self, identity: Identity, timer: Timer, call_id: str) -> dict[str, Any] | None:
        """Return a run as the service of what it began shows it; None if it is forgotten there."""
        if timer.kind == TRANSFER:
            task = self._transfers.store.task(call_id)
            if task is None:
                return None
            details = documents.task_document(task, identity, self._transfers.collections)
            return {"action_id": call_id, "status": task.status, "display_status": task.status, "details": details}
        run = self._store.run(call_id)
        return None if run is None else flow_documents.run_document(run, identity)

    def under_way(self, identity: Identity, timer: Timer) -> bool:
        """Return whether the last run of a timer has not ended."""
        begun = [result for result in timer.results if not result["errors"]]
        shown = self.shown(identity, timer, str(begun[-1]["id"])) if begun else None
        return isinstance(shown, Mapping) and shown["status"] in ("ACTIVE", "INACTIVE")
