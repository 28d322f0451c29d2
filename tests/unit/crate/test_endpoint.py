"""Which endpoint, service and person a crate names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from prov_worker.crate.check import check_crate
from prov_worker.crate.endpoint import Endpoint, endpoint_of
from prov_worker.crate.reader import StepCrate
from prov_worker.crate.software import function_id
from prov_worker.model import Function
from prov_worker.settings import Settings
from prov_worker.testing import CrateFactory

CORE = "e8478edc-1619-4e8c-b092-c04a0b9e70d2"
USER = "ca240b00-7c51-44b8-8d2a-1b0f0c4f4c11"
NAME = f"uep.{CORE}.{USER}"


@pytest.mark.parametrize(
    ("endpoint_id", "name", "expected"),
    [
        (USER, NAME, Endpoint(CORE, None, USER)),
        (None, NAME, Endpoint(CORE, None, USER)),
        (CORE, NAME, Endpoint(CORE, None, USER)),
        (CORE, "laptop", Endpoint(CORE, "laptop", None)),
        (CORE, None, Endpoint(CORE, None, None)),
        (CORE, f"uep.{USER}.{USER}", Endpoint(CORE, f"uep.{USER}.{USER}", None)),
        (CORE, "uep.mine", Endpoint(CORE, "uep.mine", None)),
        (None, None, Endpoint(None, None, None)),
    ],
)
def test_the_ids_of_an_endpoint(endpoint_id: str | None, name: str | None, expected: Endpoint) -> None:
    assert endpoint_of(endpoint_id, name) == expected


def entities_of(crate: Path) -> dict[str, dict[str, Any]]:
    graph = json.loads((crate / "ro-crate-metadata.json").read_text())["@graph"]
    return {entity["@id"]: entity for entity in graph}


def test_the_endpoint_is_the_one_that_was_submitted_to(tmp_path: Path) -> None:
    crate = CrateFactory(tmp_path / "crates").add(1, endpoint_id=USER, endpoint_name=NAME)
    entities = entities_of(crate)
    assert entities["#endpoint"]["identifier"] == f"urn:uuid:{CORE}"
    assert entities["#worker-user-endpoint"]["value"] == USER
    assert USER not in entities["#distributed_step"]["description"]
    opened = StepCrate.open(crate)
    assert (opened.endpoint_id, opened.endpoint_name, opened.user_endpoint_id) == (CORE, CORE, USER)
    assert check_crate(crate) == []


def test_a_crate_that_names_the_user_endpoint_alone_is_read_alike(tmp_path: Path) -> None:
    """As this package wrote them before."""
    crate = CrateFactory(tmp_path / "crates").add(1)
    entities = entities_of(crate)
    entities["#endpoint"].update(identifier=f"urn:uuid:{USER}", name=NAME)
    metadata = crate / "ro-crate-metadata.json"
    metadata.write_text(json.dumps({**json.loads(metadata.read_text()), "@graph": list(entities.values())}))
    opened = StepCrate.open(crate)
    assert (opened.endpoint_id, opened.endpoint_name, opened.user_endpoint_id) == (CORE, CORE, USER)


def test_a_function_is_named_by_the_service_that_has_it(tmp_path: Path) -> None:
    function = Function("work", "__main__", id="96c423d7-0000-4000-8000-000000000001")
    own = function_id(function)
    assert own == "https://compute.api.globus.org/v2/functions/96c423d7-0000-4000-8000-000000000001"
    settings = Settings.from_mapping({"service_url": "http://localhost:5000/"})
    crate = CrateFactory(tmp_path / "crates", settings=settings).add(1, function)
    assert StepCrate.open(crate).function["@id"] == "http://localhost:5000/v2/functions/" + own.rpartition("/")[2]
    assert check_crate(crate) == []


def test_an_account_is_a_name_and_nothing_else(tmp_path: Path) -> None:
    entities = entities_of(CrateFactory(tmp_path / "crates", account="prov").add(1))
    assert entities["#agent"]["name"] == "prov"
    assert entities["#distributed_step"]["agent"] == {"@id": "#agent"}


def test_the_submitter_is_the_agent_and_the_author_stays(tmp_path: Path) -> None:
    settings = Settings.from_mapping({"submitter": CORE, "author": "https://orcid.org/0000-0002-1825-0097"})
    crate = CrateFactory(tmp_path / "crates", settings=settings).add(1)
    entities = entities_of(crate)
    assert entities["#distributed_step"]["agent"] == {"@id": "#submitter"}
    assert entities["#submitter"]["identifier"] == f"urn:globus:auth:identity:{CORE}"
    assert entities["./"]["author"] == {"@id": "https://orcid.org/0000-0002-1825-0097"}
    assert check_crate(crate) == []
