"""Who may use the service."""

from __future__ import annotations

import json
import os
import time
import uuid
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra 'service' is not installed")
from prov_worker.errors import InputError
from prov_worker.localservice import identities
from prov_worker.localservice.identities import Identities, Identity
from prov_worker.localservice.tokens import AUTH_SERVER, COMPUTE_SCOPE, COMPUTE_SERVER, Signer, resource_server

CLIENT = str(uuid.UUID(int=7))
SECRET = "a secret that must not show"


def test_a_file_of_identities(tmp_path: Path) -> None:
    path = tmp_path / "identities.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps([{"client_id": CLIENT.upper(), "client_secret": SECRET, "name": "me"}]))
    clients = identities.load(path, tmp_path / "none", {})
    assert clients.get(CLIENT) == Identity(CLIENT, SECRET, "me")
    assert SECRET not in repr(clients.get(CLIENT))


@pytest.mark.parametrize(
    "text, where",
    [
        ("", "not JSON"),
        ("{}", "not a list"),
        ("[]", "no identity"),
        ("[1]", r"\[0\]: not an object"),
        ('[{"client_id": "x"}]', r"\[0\].client_secret: must be a text"),
        (f'[{{"client_id": "x", "client_secret": "{SECRET}"}}]', r"\[0\].client_id: must be a UUID"),
        (f'[{{"client_id": "{CLIENT}", "client_secret": "short"}}]', r"\[0\].client_secret: holds less than 128 bits"),
        (f'[{{"client_id": "{CLIENT}", "client_secret": "{SECRET}", "x": 1}}]', r"\[0\].x: no such key"),
        (json.dumps([{"client_id": CLIENT, "client_secret": SECRET}] * 2), "given twice"),
    ],
)
def test_bad_files_say_where_and_keep_the_secret(tmp_path: Path, text: str, where: str) -> None:
    path = tmp_path / "identities.json"
    path.touch(mode=0o600)
    path.write_text(text)
    with pytest.raises(InputError, match=where) as caught:
        identities.load(path, tmp_path / "none", {})
    assert SECRET not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        identities.load(tmp_path / "nowhere", tmp_path / "none", {})


def test_from_the_environment(tmp_path: Path) -> None:
    secret_file = tmp_path / "secret"
    secret_file.touch(mode=0o600)
    secret_file.write_text(SECRET + "\n")
    by_file = {"PROV_SERVICE_CLIENT_ID": CLIENT, "PROV_SERVICE_CLIENT_SECRET_FILE": str(secret_file)}
    by_value = {"PROV_SERVICE_CLIENT_ID": CLIENT, "PROV_SERVICE_CLIENT_SECRET": SECRET}
    for environ in (by_file, by_value):
        clients = identities.load(None, tmp_path / "none", environ)
        assert [each.client_secret for each in clients] == [SECRET]
    assert not (tmp_path / "none").exists()
    with pytest.raises(InputError, match="one needs the other"):
        identities.load(None, tmp_path / "none", {"PROV_SERVICE_CLIENT_ID": CLIENT})


def test_one_is_made_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "state" / "identities.json"
    first, second = (list(identities.load(None, path, {})) for _ in range(2))
    assert first == second
    assert len(first[0].client_secret) > 20
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "secret", ["01234567890123456789012345678901234567", "a" * 80, "abcdefghijklmnopqrstuvwxy", "Ab0-" * 5, "x" * 21]
)
def test_secrets_of_less_than_128_bits_are_refused(secret: str) -> None:
    with pytest.raises(InputError, match="less than 128 bits"):
        identities.parse(json.dumps([{"client_id": CLIENT, "client_secret": secret}]), "file")


@pytest.mark.parametrize("secret", ["0123456789abcdef0123456789abcdef", "8eDhoymyqYFdz1n4aCXyYg==", SECRET])
def test_longer_ones_are_taken(secret: str) -> None:
    (identity,) = identities.parse(json.dumps([{"client_id": CLIENT, "client_secret": secret}]), "file")
    assert identity.client_secret == secret


def test_one_more_is_made_with_a_secret_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "new" / "identities.json"
    made = [identities.add(path, name) for name in ("Ada", "Grace")]
    assert list(identities.load(path, tmp_path / "none", {})) == made
    assert path.stat().st_mode & 0o777 == 0o600
    assert all(len(each.client_secret) == 43 for each in made)


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o602])
def test_a_file_that_is_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "identities.json"
    identities.add(path, "Ada")
    path.chmod(mode)
    given = os.geteuid() == 0 and mode == 0o640
    if given:
        assert len(identities.load(path, tmp_path / "none", {})) == 1  # root's own, for a group
        return
    with pytest.raises(InputError, match="is open to others"):
        identities.load(path, tmp_path / "none", {})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "identities.json"
    identities.add(path, "Mallory")
    os.chown(path, 65534, 65534)
    for given in (path, None):
        with pytest.raises(InputError, match="belongs to another user"):
            identities.load(given, path, {})


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "identities.json"
    os.mkfifo(path, 0o600)
    with pytest.raises(InputError, match="regular file"):
        identities.load(path, tmp_path / "none", {})


def test_secrets_are_checked() -> None:
    clients = Identities([Identity(CLIENT, SECRET)])
    assert clients.authenticate(CLIENT, SECRET) is not None
    for client, secret in ((CLIENT, SECRET + "x"), (CLIENT, ""), (str(uuid.uuid4()), SECRET), ("", "\ud800")):
        assert clients.authenticate(client, secret) is None


class TestTokens:
    identity = Identity(CLIENT, SECRET)
    signer = Signer(b"k" * 32, Identities([identity]))

    def test_round_trip(self) -> None:
        now = time.time()
        token = self.signer.read(self.signer.sign(self.identity, COMPUTE_SERVER, now), now)
        assert token is not None
        assert (token.identity, token.resource_server) == (self.identity, COMPUTE_SERVER)

    def test_expiry(self) -> None:
        text = self.signer.sign(self.identity, COMPUTE_SERVER, 0)
        assert self.signer.read(text, 172_799) is not None
        assert self.signer.read(text, 172_800) is None

    def test_no_byte_can_be_changed(self) -> None:
        text = self.signer.sign(self.identity, COMPUTE_SERVER, 0)
        for position in range(len(text)):
            for other in {"A", "B", "."} - {text[position]}:
                changed = self.signer.read(text[:position] + other + text[position + 1 :], 1)
                # The last character of base64 has bits without meaning.
                assert changed is None or position in (len(text) - 1, text.index(".") - 1), position

    def test_another_key_or_secret_ends_it(self) -> None:
        text = self.signer.sign(self.identity, COMPUTE_SERVER, 0)
        assert Signer(b"j" * 32, Identities([self.identity])).read(text, 1) is None
        assert Signer(b"k" * 32, Identities([Identity(CLIENT, SECRET + "new")])).read(text, 1) is None

    @pytest.mark.parametrize("text", ["", ".", "x", "é.é", "bnVsbA.x", "W10.x", "e30.x", "[" * 3000 + ".", "\ud800.x"])
    def test_rubbish(self, text: str) -> None:
        assert self.signer.read(text, 0) is None


@pytest.mark.parametrize(
    "scope, server",
    [
        (COMPUTE_SCOPE, COMPUTE_SERVER),
        (COMPUTE_SCOPE + "[*urn:x]", COMPUTE_SERVER),
        ("openid", AUTH_SERVER),
        ("urn:globus:auth:scope:auth.globus.org:manage_projects", AUTH_SERVER),
    ],
)
def test_servers_of_scopes(scope: str, server: str) -> None:
    assert resource_server(scope) == server
