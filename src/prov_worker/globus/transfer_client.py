"""A client of Globus Transfer, with the credentials that Globus Compute uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prov_worker.globus.app import globus_app

if TYPE_CHECKING:
    from globus_sdk import TransferClient


def transfer_client() -> TransferClient:
    """Return a client of Globus Transfer: see :func:`prov_worker.globus.app.globus_app`.

    A consent that a collection asks for is got once.

    Raises:
        InputError: globus_sdk is missing, half of the credentials are, or a login is needed and there is no terminal.
    """
    app = globus_app("Globus Transfer")
    from globus_sdk import TransferClient

    return TransferClient(app=app)
