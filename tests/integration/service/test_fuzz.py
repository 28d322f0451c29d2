"""Requests of all kinds, made from the service's own OpenAPI description: each gets the answer that it describes."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rabbitmq import RabbitMQ
from service_stack import ALICE, SECRETS, Identity, Service, service_running

from support.commands import run_program

pytest.importorskip("schemathesis", reason="schemathesis is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("service-fuzz")]

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
    "negative_data_rejection,unsupported_method,allow_header_conformance,use_after_free,ignored_auth"
)
#: For each operation, of everybody with `make test-long`; a failure names the request, and --seed makes a run again.
EXAMPLES, MORE_EXAMPLES = 1, 12


@pytest.fixture(scope="module")
def service(broker: RabbitMQ, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service_running(tmp_path_factory.mktemp("service"), broker, "--max-body-mib", "1") as service:
        yield service


def _basic() -> str:
    return "Basic " + base64.b64encode(f"{ALICE}:{SECRETS[ALICE]}".encode()).decode()


@pytest.mark.parametrize(
    ("who", "examples"),
    [
        ("compute", EXAMPLES),
        *(pytest.param(who, MORE_EXAMPLES, marks=pytest.mark.long) for who in ("compute", "nobody", "auth", "person")),
    ],
)
def test_every_operation_answers_as_it_says(service: Service, who: str, examples: int, tmp_path: Path) -> None:
    identity = Identity(service, ALICE, SECRETS[ALICE])
    logins = {
        "compute": identity.headers["Authorization"],
        "auth": f"Bearer {identity.token('openid')}",
        "person": _basic(),
    }
    login = ["--header", f"Authorization: {logins[who]}"] if who in logins else []
    summary = tmp_path / "summary.json"
    done = run_program(
        *(sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{service.port}/openapi.json"),
        *("--checks", CHECKS, "--max-examples", str(examples), "--phases", "examples,coverage,fuzzing"),
        *("--no-color", "--generation-database", "none", "--warnings", "off", "--suppress-health-check", "all"),
        *("--report", "json", "--report-json-path", str(summary)),
        *login,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    paths = json.loads(service.request("GET", "/openapi.json")[1])["paths"]
    operations = json.loads(summary.read_text())["operations"]
    assert operations["tested"] == operations["total"] == sum(map(len, paths.values()))
    assert "Traceback" not in service.log.read_text()
