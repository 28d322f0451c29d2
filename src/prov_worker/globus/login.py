"""Logins for Globus Compute, by its SDK; no secret is printed or written."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from prov_worker.errors import InputError, MissingExtraError, ProvWorkerError

if TYPE_CHECKING:
    from globus_sdk import GlobusApp


class LoginNeededError(ProvWorkerError):
    """Somebody has to log in, and there is no terminal to ask at."""


def person() -> GlobusApp:
    """Return the app of a person; the SDK keeps its tokens below ``~/.globus_compute``."""
    import platform

    from globus_compute_sdk.sdk.auth.globus_app import DEFAULT_CLIENT_ID
    from globus_compute_sdk.sdk.auth.token_storage import get_token_storage
    from globus_sdk import GlobusAppConfig, UserApp

    config = GlobusAppConfig(token_storage=get_token_storage(), request_refresh_tokens=True)
    return UserApp(app_name=platform.node(), client_id=DEFAULT_CLIENT_ID, config=config)


def client_app(client_id: str, secret: str) -> GlobusApp:
    """Return the app of a client; its tokens stay in memory.

    Raises:
        ValueError: the id is not a UUID.
    """
    import uuid

    from globus_sdk import ClientApp, GlobusAppConfig

    uuid.UUID(client_id)
    config = GlobusAppConfig(token_storage="memory")  # noqa: S106 - a place
    return ClientApp("prov-worker", client_id=client_id, client_secret=secret, config=config)


def client_for(app: Any, authorizer: Any, *, own: bool = False) -> Any:
    """Return a ``globus_compute_sdk.Client`` that the web service has answered.

    Args:
        app: a ``GlobusApp``; None, and no authorizer either: as the SDK finds credentials.
        authorizer: in its place.
        own: whether the app is of this client alone: it is closed once nobody has the client any more.

    Raises:
        MissingExtraError: globus-compute-sdk is not installed.
        LoginNeededError: nobody is logged in.
        InputError: the credentials are refused.
        ProvWorkerError: the web service cannot be reached.
    """
    try:
        from globus_compute_sdk import Client
    except ImportError as error:
        raise MissingExtraError("jobs need globus-compute-sdk", "jobs", error) from error
    from globus_sdk import AuthAPIError, GlobusAPIError, GlobusError

    try:
        if app is None and authorizer is None:
            from globus_compute_sdk.sdk.auth.globus_app import get_globus_app

            app, own = get_globus_app(), True
        with _closed_on_error(app if own else None):
            if app is not None and not sys.stdin.isatty():
                _need_tokens(app)
            client = Client(app=app, authorizer=authorizer)
        if own:
            weakref.finalize(client, close_app, app)
        return client
    except AuthAPIError as error:
        raise InputError(f"auth: the credentials are refused: {error.http_status} {error.message}") from error
    except GlobusAPIError as error:
        raise ProvWorkerError(f"the web service failed: {error.http_status} {error.message}") from error
    except GlobusError as error:
        raise ProvWorkerError(f"the web service cannot be reached: {type(error).__name__}: {error}") from error


def close_app(app: Any) -> None:
    """Close an app and the file of its tokens, which the SDK leaves to the garbage collector.

    Python 3.13 and later warn of such a file (``sqlite3``, "ResourceWarning").

    Args:
        app: a ``GlobusApp`` that nobody uses any more.
    """
    app.close()
    app.token_storage.close()  # of a storage that it was given, it does not do so itself


@contextmanager
def _closed_on_error(app: Any) -> Iterator[None]:
    try:
        yield
    except BaseException:
        if app is not None:
            close_app(app)
        raise


def _need_tokens(app: Any) -> None:
    """Refuse to wait for a person who is not there."""
    from globus_sdk import ComputeClientV2, UserApp

    if isinstance(app, UserApp):
        app.add_scope_requirements({ComputeClientV2.scopes.resource_server: ComputeClientV2.default_scope_requirements})
        if app.login_required():
            raise LoginNeededError("nobody is logged in, and there is no terminal")
