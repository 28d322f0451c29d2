"""Every command that reads many crates takes the same filters, and ids by what one alone begins with."""

from __future__ import annotations

import json
import os
import re
import uuid
import zipfile
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import pytest

from prov_worker.crate.sources import find_sources
from prov_worker.run.index.build import index
from prov_worker.run.selection.groups import keep
from prov_worker.testing import CrateFactory
from prov_worker.testing.crates import START_NS

Run = Callable[..., tuple[int, str, str]]
CHOSEN, LIKE, OTHER = (f"{begin}b0e-5f0c-4c58-9a43-0d2f4a6f1c01" for begin in ("aa117", "aa227", "bb117"))
TASKS = {CHOSEN, LIKE, OTHER}
GROUP = str(uuid.UUID(int=7))
ENDPOINT = "11111111-5f0c-4c58-9a43-0d2f4a6f1cff"
SINCE = datetime.fromtimestamp(START_NS // 10**9 + 50, timezone.utc).isoformat()
FILTERS = {
    "group": ["--group", GROUP],
    "run name": ["--run-name", "scan-7"],
    "since": ["--since", SINCE, "--status", "completed"],
    "function": ["--function", "fi?"],
    "status": ["--status", "completed", "--host", "*"],
    "endpoint": ["--endpoint", ENDPOINT],
    "where": ["--where", "wall_s = 0.25"],
    "beginning of an id": ["--task", "aa1"],
    "whole id": ["--task", CHOSEN],
}


@pytest.fixture
def crates(tmp_path: Path) -> Path:
    """Three tasks, of which the filters choose one."""
    factory = CrateFactory(tmp_path / "crates")
    annotations = {"run": "scan-7"}
    factory.add(
        1, "fit", task_id=CHOSEN, offset_s=60, wall_s=0.25, endpoint_id=ENDPOINT, annotations=annotations
    )  # fmt: skip
    factory.add(2, "merge", task_id=LIKE, error="no")
    factory.add(3, "merge", task_id=OTHER, offset_s=70, error="no")
    keep(factory.directory, GROUP, [CHOSEN])
    return factory.directory


def named_in(text: str) -> set[str]:
    return {task for task in TASKS if task in text}


def there(directory: Path) -> set[str]:
    return {source.key for source in find_sources(directory, pytest.fail)}


def listed(run: Run, crates: Path, *filters: str) -> set[str]:
    return named_in(succeeded(run("list", "--json", crates, *filters)))


def queried(run: Run, crates: Path, *filters: str) -> set[str]:
    index([crates])
    return named_in(succeeded(run("run", "query", "--json", "--columns", "task_id", crates, *filters)))


def assembled(run: Run, crates: Path, *filters: str) -> set[str]:
    succeeded(run("run", "assemble", crates, "-o", crates.parent / "RUN.crate", *filters))
    return there(crates.parent / "RUN.crate")


def reported(run: Run, crates: Path, *filters: str) -> set[str]:
    succeeded(run("run", "report", crates, "-o", crates.parent / "page.html", *filters))
    return named_in((crates.parent / "page.html").read_text())


def exported(run: Run, crates: Path, *filters: str) -> set[str]:
    target = crates.parent / "run.json"
    succeeded(run("run", "export", crates, "--format", "openlineage", "-o", target, *filters))
    return named_in(target.read_text())


def compared(run: Run, crates: Path, *filters: str) -> set[str]:
    functions = json.loads(succeeded(run("run", "compare", "--json", crates, crates, *filters)))["functions"]
    return {CHOSEN} if set(functions) == {"fit"} else TASKS


def packed(run: Run, crates: Path, *filters: str) -> set[str]:
    succeeded(run("pack", crates, *filters))
    (pack,) = crates.glob("*.crates.zip")
    with zipfile.ZipFile(pack) as archive:
        members = {name.partition(".crate/")[0] for name in archive.namelist()}
    assert {path.name.removesuffix(".crate") for path in crates.glob("*.crate")} == TASKS - members
    return members


def pruned(run: Run, crates: Path, *filters: str) -> set[str]:
    succeeded(run("prune", crates, "--older-than", "1h", "--unsealed", "--yes", *filters))
    return TASKS - there(crates)


def pruned_of_a_pack(run: Run, crates: Path, *filters: str) -> set[str]:
    succeeded(run("pack", crates))
    return pruned(run, crates, *filters)


def succeeded(outcome: tuple[int, str, str]) -> str:
    code, out, err = outcome
    assert code == 0, err
    # Nobody is there to be asked for a task group.
    assert re.sub(r"prov-worker: --group .* as kept beside the crates; .*\n", "", err) == ""
    return out


VERBS = [
    listed, queried, assembled, reported, exported, compared, packed, pruned, pruned_of_a_pack
]  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("name", FILTERS)
def test_every_verb_takes_every_filter(
    prov_worker: Run, crates: Path, name: str, verb: Callable[..., set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(crates.parent)
    assert verb(prov_worker, crates, *FILTERS[name]) == {CHOSEN}


@pytest.mark.parametrize(
    "command",
    [
        ["list"],
        ["run", "query"],
        ["run", "assemble", "-o", "RUN.crate"],
        ["run", "report", "-o", "page.html"],
        ["run", "export", "--format", "csv", "-o", "run.csv"],
        ["run", "compare", "crates"],
        ["pack"],
        ["prune", "--older-than", "1h", "--unsealed", "--yes"],
        ["prune", "--older-than", "1h", "--archive", "old.crates.zip", "--yes"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_what_two_ids_begin_with_is_refused_and_nothing_changes(
    prov_worker: Run, crates: Path, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(crates.parent)
    index([crates])
    before = content(crates.parent)
    code, out, err = prov_worker(*command, "crates", "--task", "aa")
    assert (code, out) == (2, "")
    assert err == f"prov-worker: --task aa: fits more than one task, such as {CHOSEN} and {LIKE}\n"
    assert content(crates.parent) == before


def content(directory: Path) -> dict[str, bytes | None]:
    return {
        os.path.relpath(path, directory): path.read_bytes() if path.is_file() else None
        for path in directory.rglob("*")
    }  # fmt: skip
