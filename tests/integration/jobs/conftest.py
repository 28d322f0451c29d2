"""One stack for all tests of jobs: broker, service, stock daemon."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from service_stack import Stack

    from prov_worker.jobs import Jobs

#: More options of the endpoint than the daemon's template has.
TEMPLATE = {
    'worker_init: "true"': "worker_init: {{ worker_init | default('\"true\"') }}",
    "  address: 127.0.0.1\n": "  address: 127.0.0.1\n  cpu_affinity: {{ cpu_affinity | default('none') }}\n",
}


@pytest.fixture(scope="package")
def crate_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the endpoint's crates appear."""
    return tmp_path_factory.mktemp("jobs-crates")


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory, crate_dir: Path) -> Generator[Stack, None, None]:
    """The stack."""
    from service_stack import running

    with running(tmp_path_factory.mktemp("stack"), crates=crate_dir) as running_stack:
        assert running_stack.daemon is not None
        template = running_stack.daemon.user_dir / "ep" / "user_config_template.yaml.j2"
        text = template.read_text()
        place = f"crate_dir: {crate_dir},"
        for before, after in {**TEMPLATE, place: f"crate_dir: {{{{ crate_dir | default('{crate_dir}') }}}},"}.items():
            assert before in text
            text = text.replace(before, after)
        template.write_text('{% set engine = engine | default("ProvenanceEngine") %}\n' + text)
        yield running_stack


@pytest.fixture
def endpoint(stack: Stack) -> str:
    """UUID of the stack's endpoint."""
    assert stack.daemon is not None
    return str(stack.daemon.id)


@pytest.fixture
def opened(endpoint: str, crate_dir: Path, tmp_path: Path) -> Generator[Callable[..., Jobs], None, None]:
    """Open the test's own store, with an engine that records; what is left open is closed without a wait."""
    from prov_worker import jobs

    sessions: list[Jobs] = []

    def open_store(name: str = "jobs.jsonl", **options: object) -> Jobs:
        arguments: dict[str, object] = {
            "crates": crate_dir,
            "settle_s": 3.0,
            **options,
        }
        sessions.append(jobs.open(arguments.pop("endpoint", endpoint), store=tmp_path / name, **arguments))  # type: ignore[arg-type]
        return sessions[-1]

    yield open_store
    for session in sessions:
        session.close(wait=False)
