"""Who asks the web service: a person, a client with a secret, or what the program has already."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prov_worker.errors import InputError, ProvWorkerError

if TYPE_CHECKING:
    from globus_sdk import GlobusApp

_ID = "GLOBUS_COMPUTE_CLIENT_ID"
_SECRET = "GLOBUS_COMPUTE_CLIENT_SECRET"  # noqa: S105 - a name
KINDS = ("person", "client")


def compute_client(auth: Any = None) -> Any:
    """Return a ``globus_compute_sdk.Client``.

    Args:
        auth: None: what the SDK takes: the client of ``GLOBUS_COMPUTE_CLIENT_ID`` and ``GLOBUS_COMPUTE_CLIENT_SECRET``
            if both are set, else a person. ``"person"``: a person, who logs in once at a terminal; the SDK keeps the
            tokens. ``"client"``: the client of these two variables. A path: the client of a JSON file with
            ``client_id`` and ``client_secret``, closed to others. A ``globus_sdk.GlobusApp`` or a
            ``globus_sdk.authorizers.GlobusAuthorizer``: that one. A ``globus_compute_sdk.Client``: a new one with its
            credentials.

    Raises:
        InputError: an unknown kind, half a pair of credentials, a file that others may read, or nobody to log in.
        ProvWorkerError: the web service cannot be reached.
    """
    from prov_worker.globus.login import LoginNeededError, client_for

    app, authorizer = _credentials(auth)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # a login is asked for there; stdout is for results
            return client_for(app, authorizer, own=isinstance(auth, (str, os.PathLike)))
    except LoginNeededError as error:
        raise InputError(
            f"auth: no credentials: set {_ID} and {_SECRET}, or log in once with globus-compute-endpoint login: {error}"
        ) from error


def _credentials(auth: Any) -> tuple[Any, Any]:
    """Return an app and an authorizer, of which at most one is not None."""
    from globus_sdk import GlobusApp
    from globus_sdk.authorizers import GlobusAuthorizer

    client_id, secret = os.environ.get(_ID), os.environ.get(_SECRET)
    if auth is None or auth == "client":
        if bool(secret) and not client_id:
            raise InputError(f"{_ID}: not set, though {_SECRET} is; a client needs both")
        if auth == "client" and not secret:
            raise InputError(f"{_SECRET}: not set; a client needs it and {_ID}")
        return None, None
    if auth == "person":
        from prov_worker.globus.login import person

        return person(), None
    if isinstance(auth, GlobusApp):
        return auth, None
    if isinstance(auth, GlobusAuthorizer):
        return None, auth
    if hasattr(auth, "app") and hasattr(auth, "web_service_address"):
        return auth.app, auth.authorizer
    if isinstance(auth, os.PathLike):
        return _client_of_file(Path(auth)), None
    raise InputError(f"auth: {auth!r}: not one of {', '.join(KINDS)}, nor a path, an app or an authorizer")


def _client_of_file(path: Path) -> GlobusApp:
    from prov_worker.globus.login import client_app

    try:
        with path.open("rb") as stream:
            if os.name == "posix" and os.fstat(stream.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise InputError(f"{path}: others may read it, and it holds a secret; chmod 600 it")
            content = json.load(stream)
        fields = [content[key] for key in ("client_id", "client_secret")]
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except KeyError as error:
        raise InputError(f"{path}: {error.args[0]}: is missing") from None
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: is not a JSON object: {type(error).__name__}") from None
    if not all(isinstance(field, str) and field for field in fields):
        raise InputError(f"{path}: client_id and client_secret: must be text")
    try:
        return client_app(*fields)
    except ValueError as error:
        raise InputError(f"{path}: client_id: {error}") from None
    except ProvWorkerError:
        raise
