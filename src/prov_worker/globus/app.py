"""The application that this package is to Globus: of a service account, or of the person here."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any

from prov_worker.errors import InputError

if TYPE_CHECKING:
    from globus_sdk import GlobusApp

_ID = "GLOBUS_COMPUTE_CLIENT_ID"
_SECRET = "GLOBUS_COMPUTE_CLIENT_SECRET"  # noqa: S105 - a name


def globus_app(need: str) -> GlobusApp:
    """Return an application with the credentials that Globus Compute uses; no secret is printed or written.

    ``GLOBUS_COMPUTE_CLIENT_ID`` and ``GLOBUS_COMPUTE_CLIENT_SECRET`` name a service account; its tokens stay in memory.
    A person logs in at the terminal once: the SDK keeps those tokens below ``~/.globus/app``, closed to others.

    Args:
        need: what needs it, such as ``Globus Transfer``.

    Raises:
        InputError: globus_sdk is missing, half of the credentials are, or a login is needed and there is no terminal.
    """
    try:
        from globus_sdk import ClientApp, GlobusAppConfig, UserApp
        from globus_sdk.login_flows import CommandLineLoginFlowManager
    except ImportError as error:
        raise InputError(f"{need} needs the extra 'endpoint' of prov-worker: {error}") from None

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
    if client_id and secret:
        return ClientApp(
            "prov-worker",
            client_id=client_id,
            client_secret=secret,
            config=GlobusAppConfig(token_storage="memory", auto_redrive_gares=True),  # noqa: S106 - a place
        )
    if secret:
        raise InputError(f"{_ID}: not set, though {_SECRET} is; a service account needs both")
    from globus_compute_sdk.sdk.auth.globus_app import DEFAULT_CLIENT_ID

    return UserApp(
        "prov-worker",
        client_id=client_id or DEFAULT_CLIENT_ID,
        config=GlobusAppConfig(request_refresh_tokens=True, auto_redrive_gares=True, login_flow_manager=Terminal),
    )
