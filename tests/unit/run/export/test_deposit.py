"""Run crates into repositories: stand-ins of their documented routes, on loopback."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prov_worker.cli.main import run as cli
from prov_worker.errors import InputError
from prov_worker.run.export.deposit.submission import Creator
from prov_worker.testing import CrateFactory
from support.http_service import HttpService, Request

TOKEN = "t0ken-of-somebody"
AUTHORIZATION = {"invenio": f"Bearer {TOKEN}", "workflowhub": f"Token {TOKEN}", "dataverse": TOKEN}
VARIABLES = {"invenio": "INVENIORDM_API_KEY", "workflowhub": "WORKFLOWHUB_TOKEN", "dataverse": "DATAVERSE_API_TOKEN"}


class Repository(HttpService):
    """All three at one address: what was asked of them, and what they were sent."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Request] = []
        self.refuses = ""

    def answer(self, request: Request) -> tuple[int, Any]:
        self.requests.append(request)
        if self.refuses and request.path.endswith(self.refuses):
            return 403, {"message": "not yours"}
        match request.method, request.path:
            case "POST", "/api/records":
                return 201, {"id": "abcd-1234"}
            case "POST", "/api/records/abcd-1234/draft/files":
                return 201, {"entries": json.loads(request.body)}
            case "PUT", "/api/records/abcd-1234/draft/files/fits.crate.zip/content":
                return 200, {}
            case "POST", "/api/records/abcd-1234/draft/files/fits.crate.zip/commit":
                return 200, {}
            case "POST", "/api/records/abcd-1234/draft/actions/publish":
                return 202, {}
            case "POST", "/workflows/submit":
                return 201, {"data": {"id": "77"}}
            case "POST", "/api/dataverses/lab/datasets":
                return 201, {"data": {"persistentId": "doi:10.5072/FK2/ABC"}}
            case "POST", "/api/datasets/:persistentId/add" | "/api/datasets/:persistentId/actions/:publish":
                return (200, {}) if request.query["persistentId"] == "doi:10.5072/FK2/ABC" else (404, {})
        return 404, {}


@pytest.fixture
def service() -> Iterator[Repository]:
    repository = Repository()
    yield repository
    repository.close()


@pytest.fixture(scope="module")
def crate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run crate of two steps, with author, licence and publisher."""
    place = tmp_path_factory.mktemp("deposit")
    factory = CrateFactory(place / "crates")
    for number in (1, 2):
        factory.add(number, "fit", sampled=True)
    arguments = ["--author", "Josiah Carberry", "--license", "https://spdx.org/licenses/CC-BY-4.0"]
    arguments += ["--publisher", "Wesleyan University", "--name", "Fits"]
    assert cli(["run", "assemble", str(factory.directory), "-o", str(place / "fits.crate"), *arguments]) == 0
    return place / "fits.crate"


def archive_in(body: str) -> dict[str, bytes]:
    """Files of the zip in a body."""
    data = body.encode("utf-8", "surrogateescape")
    with zipfile.ZipFile(io.BytesIO(data[data.index(b"PK\x03\x04") :])) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def files_of(crate: Path) -> dict[str, bytes]:
    return {path.relative_to(crate).as_posix(): path.read_bytes() for path in crate.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("name", "options", "page", "upload"),
    [
        ("invenio", ["--publish"], "records/abcd-1234", 2),
        ("workflowhub", ["--project", "12"], "workflows/77", 0),
        ("dataverse", ["--collection", "lab", "--contact", "a@b.org", "--publish"], "dataset.xhtml", 1),
    ],
)
def test_a_run_is_deposited_whole(
    service: Repository,
    crate: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    options: list[str],
    page: str,
    upload: int,
) -> None:
    monkeypatch.setenv(VARIABLES[name], TOKEN)
    assert cli(["run", "deposit", str(crate), "--to", name, "--url", service.url, *options, "--json"]) == 0
    output = capsys.readouterr().out
    receipt = json.loads(output)
    assert page in receipt["page"]
    assert receipt["published"] == (name != "workflowhub")
    assert TOKEN not in output
    assert {request.authorization for request in service.requests} == {AUTHORIZATION[name]}
    assert archive_in(service.requests[upload].body) == files_of(crate)
    if name == "workflowhub":
        assert 'name="workflow[project_ids][]"\r\n\r\n12\r\n' in service.requests[0].body
        assert 'filename="fits.crate.zip"' in service.requests[0].body


def test_metadata_name_persons_licences_and_organisations_as_they_are(
    crate: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli(["run", "deposit", str(crate), "--to", "invenio", "--dry-run", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["url"] == "https://zenodo.org"
    assert answer["archive"] == "fits.crate.zip"
    assert {file["path"] for file in answer["files"]} == set(files_of(crate))
    assert answer["bytes"] == sum(map(len, files_of(crate).values()))
    metadata = answer["metadata"]["metadata"]
    assert metadata["title"] == "Fits"
    person = {"type": "personal", "family_name": "Carberry", "given_name": "Josiah"}
    assert metadata["creators"] == [{"person_or_org": person}]
    assert metadata["rights"] == [{"id": "cc-by-4.0"}]
    assert metadata["publisher"] == "Wesleyan University"

    creators = ["--creator", "van Dyke, Ann (0000-0002-1825-0097)", "--creator", "Plato"]
    arguments = ["--to", "dataverse", "--url", "https://dataverse.example", "--collection", "lab", "--contact", "a@b.c"]
    assert cli(["run", "deposit", str(crate), *arguments, *creators, "-n", "--json"]) == 0
    version = json.loads(capsys.readouterr().out)["metadata"]["datasetVersion"]
    fields = {field["typeName"]: field for field in version["metadataBlocks"]["citation"]["fields"]}
    first, second = fields["author"]["value"]
    assert first["authorName"]["value"] == "van Dyke, Ann"
    assert first["authorIdentifier"]["value"] == "0000-0002-1825-0097"
    assert second == {
        "authorName": {"typeName": "authorName", "typeClass": "primitive", "multiple": False, "value": "Plato"}
    }


def test_an_account_is_no_person(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    factory = CrateFactory(tmp_path / "crates")
    factory.add(1, "fit")
    assert cli(["run", "assemble", str(factory.directory), "-o", str(tmp_path / "run.crate")]) == 0
    assert cli(["run", "deposit", str(tmp_path / "run.crate"), "--to", "invenio", "-n"]) == 2
    assert "states no author by name; name who made it: --creator" in capsys.readouterr().err
    assert cli(["run", "deposit", str(factory.directory), "--to", "invenio", "-n", "--creator", "A, B"]) == 2
    assert "not a run crate; `prov-worker run assemble` makes one" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--to", "workflowhub"], "--project: workflowhub needs it"),
        (["--to", "workflowhub", "--project", "1", "--publish"], "--publish: workflowhub makes nothing public"),
        (["--to", "dataverse", "--collection", "x", "--contact", "a@b.c"], "--url: name the address of the dataverse"),
        (["--to", "invenio", "--url", "http://zenodo.org"], "a token goes over https alone"),
        (["--to", "invenio", "--url", "https://me:secret@zenodo.org"], "expected an address such as"),
        (["--to", "invenio", "--creator", "Ann (12)"], "'12': is not an ORCID"),
        (["--to", "invenio", "--token-file", "open.txt"], "open.txt: is open to others"),
    ],
)
def test_bad_input_is_named_and_nothing_is_sent(
    crate: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("open.txt").write_text(TOKEN)
    Path("open.txt").chmod(0o644)
    monkeypatch.setenv("INVENIORDM_API_KEY", TOKEN)
    assert cli(["run", "deposit", str(crate), *options]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert TOKEN not in err


def test_a_refusal_and_a_missing_token_are_one_line_each(
    service: Repository,
    crate: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("INVENIORDM_API_KEY", raising=False)
    arguments = ["run", "deposit", str(crate), "--to", "invenio", "--url", service.url]
    assert cli(arguments) == 2
    assert "INVENIORDM_API_KEY: no token" in capsys.readouterr().err
    assert service.requests == []
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    file.chmod(0o600)
    service.refuses = "/content"
    assert cli([*arguments, "--token-file", str(file)]) == 1
    err = capsys.readouterr().err
    assert '/content: answered 403 Forbidden: {"message": "not yours"}' in err
    assert TOKEN not in err


def test_names_are_read_as_they_are_written() -> None:
    assert Creator.parse("Carberry, Josiah") == Creator("Carberry", "Josiah")
    assert Creator.parse(" Plato ").name == "Plato"
    with pytest.raises(InputError, match="expected 'Family, Given'"):
        Creator.parse(",")
