"""Who asks the web service: what is half or unknown is refused before anything is asked."""

from __future__ import annotations

import gc
import json
from functools import partial
from pathlib import Path
from typing import Any

import globus_compute_sdk
import pytest

from prov_worker.errors import InputError
from prov_worker.globus.authentication import compute_client

ID = "11111111-2222-4444-8888-000000000000"
NAMES = ("GLOBUS_COMPUTE_CLIENT_ID", "GLOBUS_COMPUTE_CLIENT_SECRET")


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials, and no tokens of the person who runs the tests."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GLOBUS_COMPUTE_USER_DIR", str(tmp_path / "user"))


@pytest.mark.parametrize(
    "auth, variables, problem",
    [
        (None, {NAMES[1]: "s"}, "GLOBUS_COMPUTE_CLIENT_ID: not set, though GLOBUS_COMPUTE_CLIENT_SECRET is"),
        ("client", {}, "GLOBUS_COMPUTE_CLIENT_SECRET: not set; a client needs it"),
        ("client", {NAMES[0]: ID}, "GLOBUS_COMPUTE_CLIENT_SECRET: not set; a client needs it"),
        ("no-such-kind", {}, "auth: 'no-such-kind': not one of person, client, nor a path"),
        (7, {}, "auth: 7: not one of"),
        (None, {}, "auth: no credentials: set GLOBUS_COMPUTE_CLIENT_ID"),
        ("person", {}, "auth: no credentials: set GLOBUS_COMPUTE_CLIENT_ID"),
    ],
)
def test_refused(auth: object, variables: dict[str, str], problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError) as error:
        compute_client(auth)
    assert str(error.value).startswith(problem)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content, mode, problem",
    [
        ('{"client_id": "x"}', 0o600, "client_secret: is missing"),
        ("[]", 0o600, "is not a JSON object"),
        ("no", 0o600, "is not a JSON object"),
        ('{"client_id": "x", "client_secret": 3}', 0o600, "client_id and client_secret: must be text"),
        ('{"client_id": "x", "client_secret": "y"}', 0o600, "client_id: badly formed"),
        (json.dumps({"client_id": ID, "client_secret": "y"}), 0o640, "others may read it"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, content: str, mode: int, problem: str) -> None:
    path = tmp_path / "client.json"
    path.write_text(content)
    path.chmod(mode)
    with pytest.raises(InputError, match=problem) as error:
        compute_client(path)
    assert str(error.value).startswith(f"{path}: ")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        compute_client(tmp_path / "client.json")


def test_the_file_of_tokens_is_closed_with_the_last_use_of_its_client(monkeypatch: pytest.MonkeyPatch) -> None:
    from prov_worker.globus import login

    closed: list[Any] = []
    monkeypatch.setattr(login, "close_app", closed.append)
    # There is no service here to ask for its version.
    monkeypatch.setattr(globus_compute_sdk, "Client", partial(globus_compute_sdk.Client, do_version_check=False))
    app = login.client_app(ID, "secret")
    client = login.client_for(app, None, own=True)
    assert client.app is app
    assert closed == []
    del client
    gc.collect()
    assert closed == [app]
    other = login.client_for(app, None)
    del other
    gc.collect()
    assert closed == [app], "what somebody gave is theirs to close"
