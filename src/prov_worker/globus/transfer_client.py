"""A client of Globus Transfer, with the credentials that Globus Compute uses; no secret is printed or written."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any

from prov_worker.errors import InputError

if TYPE_CHECKING:
    from globus_sdk import TransferClient

_ID = "GLOBUS_COMPUTE_CLIENT_ID"
_SECRET = "GLOBUS_COMPUTE_CLIENT_SECRET"  # noqa: S105 - a name


def transfer_client() -> TransferClient:
    """A client of Globus Transfer: of a service account where the environment names one, else of the person here.

    ``GLOBUS_COMPUTE_CLIENT_ID`` and ``GLOBUS_COMPUTE_CLIENT_SECRET`` name the account; its tokens stay in memory.
    A consent that a collection asks for is got once.
    A person logs in at the terminal once: the SDK keeps those tokens below ``~/.globus/app``, closed to others.

    Raises:
        InputError: globus_sdk is missing, half of the credentials are, or a login is needed and there is no terminal.
    """
    try:
        from globus_sdk import ClientApp, GlobusApp, GlobusAppConfig, TransferClient, UserApp
        from globus_sdk.login_flows import CommandLineLoginFlowManager
    except ImportError as error:
        raise InputError(f"Globus Transfer needs the extra 'endpoint' of prov-worker: {error}") from None

    class Terminal(CommandLineLoginFlowManager):
        """Asks on stderr: stdout is for the result."""

        def run_login_flow(self, *args: Any, **kwargs: Any) -> Any:
            if not sys.stdin.isatty():
                raise InputError(
                    f"no credentials: set {_ID} and {_SECRET}, or log in once by this command in a terminal"
                )
            with contextlib.redirect_stdout(sys.stderr):
                return super().run_login_flow(*args, **kwargs)

    client_id, secret = os.environ.get(_ID), os.environ.get(_SECRET)
    app: GlobusApp
    if client_id and secret:
        app = ClientApp(
            "prov-worker",
            client_id=client_id,
            client_secret=secret,
            config=GlobusAppConfig(token_storage="memory", auto_redrive_gares=True),  # noqa: S106 - a place
        )
    elif secret:
        raise InputError(f"{_ID}: not set, though {_SECRET} is; a service account needs both")
    else:
        from globus_compute_sdk.sdk.auth.globus_app import DEFAULT_CLIENT_ID

        app = UserApp(
            "prov-worker",
            client_id=client_id or DEFAULT_CLIENT_ID,
            config=GlobusAppConfig(request_refresh_tokens=True, auto_redrive_gares=True, login_flow_manager=Terminal),
        )
    return TransferClient(app=app)
