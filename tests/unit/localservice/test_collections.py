"""Directories that stand for collections: which file of them is taken, and which paths lead where."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

pytest.importorskip("fastapi")

from prov_worker.errors import InputError
from prov_worker.localservice.transfers.collections import PlaceError, load

ONE, OTHER = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[", "invalid JSON"),
        ("{}", "expected a list"),
        ("[1]", "[0]: expected an object"),
        ('[{"id": "x", "path": "/"}]', "[0].id: expected a UUID"),
        (json.dumps([{"id": ONE, "path": "tmp"}]), "[0].path: expected the absolute path"),
        (json.dumps([{"id": ONE, "path": "/no/such/place"}]), "[0].path: /no/such/place: no such directory"),
        (json.dumps([{"id": ONE, "path": "/", "pth": 1}]), "[0].pth: no such key"),
        (json.dumps([{"id": ONE, "path": "/", "data_access": 1}]), "[0].data_access: expected true or false"),
        (json.dumps([{"id": ONE, "path": "/", "identities": ["me"]}]), "[0].identities: expected a UUID"),
        (json.dumps([{"id": ONE, "path": "/"}, {"id": ONE, "path": "/tmp"}]), "[1].id: 1111"),
    ],
)
def test_a_bad_file_is_refused_with_its_place(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "collections.json"
    file.write_text(text)
    with pytest.raises(InputError, match=re.escape(f"{file}: {reason}")):
        load(file)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        load(tmp_path / "none.json")


def test_paths_stay_within_their_collection(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (root / "out").symlink_to(tmp_path)
    (root / "in").symlink_to(root / "a")
    file = tmp_path / "collections.json"
    file.write_text(json.dumps([{"id": ONE, "path": str(root), "name": "data", "identities": [OTHER]}]))
    collections = load(file)
    collection = collections.get(ONE, OTHER)
    for path in ("/a/b", "a/./b", "~/a/b", "/~/a/b", "//a//b", "/in/b"):
        assert collection.locate(path) == root / "a" / "b"
    for path in ("/../x", "/a/../../x", "/out/x", "/out"):
        with pytest.raises(PlaceError, match="leads out of data"):
            collection.locate(path)
    for identity, collection_id in ((ONE, ONE), (OTHER, OTHER), (OTHER, None)):
        with pytest.raises(PlaceError, match="there is no collection"):
            collections.get(collection_id, identity)
