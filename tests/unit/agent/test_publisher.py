from __future__ import annotations

from pathlib import Path

import pytest

from prov_worker.agent.publisher import Publisher
from prov_worker.model import COMPLETED, Function, OutputFile, TaskRecord, Worker
from prov_worker.spool.records import Ended


@pytest.mark.parametrize(
    ("used", "generated", "note"),
    [
        (["/nonexistent"], [], "1 file that the task named could not be read afterwards: /nonexistent."),
        (
            ["/no/a", "/no/b"],
            ["/no/c"],
            "3 files that the task named could not be read afterwards: /no/a, /no/b, /no/c.",
        ),
        (["/no/a"], ["/no/a"], "1 file that the task named could not be read afterwards: /no/a."),
        (
            [f"/no/{number}" for number in range(5)],
            [],
            "5 files that the task named could not be read afterwards: /no/0, /no/1, /no/2 and 2 more.",
        ),
        ([], ["/no/" + "x" * 500], f"1 file that the task named could not be read afterwards: /no/{'x' * 195}…."),
        ([], [], None),
    ],
)
def test_files_that_cannot_be_read_are_named(
    tmp_path: Path, used: list[str], generated: list[str], note: str | None
) -> None:
    there = tmp_path / "there"
    there.write_text("x")
    record = TaskRecord("a", 1, COMPLETED, 0, 1, Function("f"), Worker("host", 1))
    record.used = [OutputFile(str(there), 0), *(OutputFile(path, 0) for path in used)]
    record.generated = [OutputFile(path, 0) for path in generated]
    Publisher(str(tmp_path), take_hardware=False).complete(Ended(record, {}), None)
    assert [file.path for file in record.used] == [str(there)]
    assert [each for each in record.notes if "named" in each] == ([] if note is None else [note])
