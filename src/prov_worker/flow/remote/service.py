"""Clients of Globus Flows, and its refusals as one line each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from prov_worker.errors import InputError, ProvWorkerError
from prov_worker.printable import line

if TYPE_CHECKING:
    from globus_sdk import FlowsClient, GlobusApp, SpecificFlowClient

_CHARACTERS = 500


class FlowsService:
    """Globus Flows, with the credentials that Globus Compute uses: see :func:`prov_worker.globus.app.globus_app`.

    Raises:
        InputError: globus_sdk is missing, half of the credentials are, or a login is needed and there is no terminal.
    """

    def __init__(self) -> None:
        from prov_worker.globus.app import globus_app

        self.app: GlobusApp = globus_app("Globus Flows")
        from globus_sdk import FlowsClient

        self.flows: FlowsClient = FlowsClient(app=self.app)

    @property
    def url(self) -> str:
        """Address of the service."""
        return str(self.flows.base_url).rstrip("/")

    def specific(self, flow_id: str) -> SpecificFlowClient:
        """Return a client of one flow."""
        from globus_sdk import SpecificFlowClient

        return SpecificFlowClient(flow_id, app=self.app)

    def login(
        self,
        flow_id: str,
        scopes: Sequence[str] = (),
        collections: Sequence[str] = (),
        session: Mapping[str, Any] | None = None,
    ) -> None:
        """Log in again, with what a flow needs.

        Args:
            flow_id: of the flow.
            scopes: of the flow, with those that depend on them, as the service names them.
            collections: ids of mapped collections, whose data the flow accesses.
            session: what else the login must have, as ``authorization_parameters`` name it.
        """
        from globus_sdk import Scope
        from globus_sdk.gare import GlobusAuthorizationParameters

        with refusals(flow_id):
            client = self.specific(flow_id)
            if collections:
                client.add_app_transfer_data_access_scope(list(collections))
            if scopes:
                self.app.add_scope_requirements({flow_id: [Scope.parse(scope) for scope in scopes]})
            parameters = GlobusAuthorizationParameters.from_dict(dict(session)) if session else None
            self.app.login(auth_params=parameters, force=True)


@contextmanager
def refusals(name: str) -> Iterator[None]:
    """Turn errors of the service into one line.

    Args:
        name: what the block asks for: the id of a flow or a run.

    Raises:
        InputError: the service refuses what was asked for.
        ProvWorkerError: it fails, or cannot be reached.
    """
    from globus_sdk import GlobusAPIError, GlobusError

    try:
        yield
    except GlobusAPIError as error:
        text = _text(error)
        if error.code == "MISSING_SCOPE" or (error.http_status == 403 and "scope" in text):
            raise InputError(f"{name}: {text}; log in for it: prov-worker flow run --login") from None
        if error.http_status == 404:
            raise InputError(f"{name}: {text}: it is not there, or not shown to you") from None
        if error.http_status == 401:
            raise InputError(f"{name}: the service does not take these credentials: {text}") from None
        kind = InputError if error.http_status < 500 else ProvWorkerError
        raise kind(f"{name}: the service refuses it: {text}") from None
    except GlobusError as error:
        text = line(str(error))[:_CHARACTERS]
        raise ProvWorkerError(f"the service cannot be reached: {type(error).__name__}: {text}") from None


def _text(error: Any) -> str:
    """Return what the service says, in one line."""
    texts = [line(str(message)) for message in error.messages] or [line(str(error.text))]
    return f"{error.http_status} {error.code or ''} {'; '.join(texts)}"[:_CHARACTERS].replace("  ", " ")
